"""Linear equations and determinants, by Gaussian elimination with row exchanges.

solve     A X = C            dC = A⁻ᵀ dX,   dA = −dC Xᵀ
det       Π of the pivots    dA_ij = dy · (−1)^(i+j) · det of A without row i and column j
slogdet   log |det|          dA = dy · A⁻ᵀ

Matrices are the last two axes; the NumPy rungs are LAPACK's. Golub & Van Loan, "Matrix
Computations", chapter 3. The inverse is solve(A, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from descent.kernel import prange
from descent.op import Lowering, Op, op

__all__ = ["Matrices", "det", "slogdet", "solve"]


class Matrices(Lowering):
    """All axes but the last two become b; every input has the same ones."""

    def down(self, op: Op, arrays: Sequence[np.ndarray], meta: dict[str, Any]):
        lead = arrays[0].shape[:-2]
        return [a.reshape(prod(lead), *a.shape[-2:]) for a in arrays], lead

    def up(self, op: Op, plan: tuple[int, ...], i: int, out: np.ndarray) -> np.ndarray:
        return out.reshape(plan + out.shape[1:])

    def down_out(self, op: Op, plan: tuple[int, ...], i: int, out: np.ndarray) -> np.ndarray:
        return out.reshape((prod(plan), *out.shape[len(plan) :]))

    def up_in(self, op: Op, plan: tuple[int, ...], i: int, dx: np.ndarray) -> np.ndarray:
        return dx.reshape(plan + dx.shape[1:])


def to_triangle(m, y):
    """Bring matrix m to upper triangular form in place, doing the same to the columns of y.

    Returns 1.0 or −1.0: the sign of the row exchanges.
    """
    n, sign = m.shape[0], 1.0
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(m[i, k]) > abs(m[best, k]):
                best = i
        if best != k:
            sign = -sign
            for j in range(n):
                m[k, j], m[best, j] = m[best, j], m[k, j]
            for j in range(y.shape[1]):
                y[k, j], y[best, j] = y[best, j], y[k, j]
        if m[k, k] != 0:
            for i in range(k + 1, n):
                f = m[i, k] / m[k, k]
                for j in range(k, n):
                    m[i, j] = m[i, j] - f * m[k, j]
                for j in range(y.shape[1]):
                    y[i, j] = y[i, j] - f * y[k, j]
    return sign


def substitute(m, y):
    """Solve in place, from the last row up, where m is upper triangular."""
    for i in range(m.shape[0] - 1, -1, -1):
        for j in range(y.shape[1]):
            for k in range(i + 1, m.shape[0]):
                y[i, j] = y[i, j] - m[i, k] * y[k, j]
            y[i, j] = y[i, j] / m[i, i]


def determinant(m):
    """Determinant of a matrix that may be overwritten."""
    total = to_triangle(m, m[:, :0])
    for k in range(m.shape[0]):
        total = total * m[k, k]
    return total


def cofactor(m, i, j):
    """Determinant without row i and column j, with the sign of that place."""
    n = m.shape[0]
    minor = m[1:, 1:].copy()
    for p in range(n - 1):
        for q in range(n - 1):
            minor[p, q] = m[p + (p >= i), q + (q >= j)]
    return determinant(minor) * (-1.0 if (i + j) % 2 else 1.0)


@op("b [n] [n], b [n] k -> b [n] k", lower=Matrices())
def solve(a, c, y):
    """X in A X = C."""
    for b in prange(a.shape[0]):
        m = a[b].copy()
        y[b] = c[b]
        to_triangle(m, y[b])
        substitute(m, y[b])


solve.numpy(np.linalg.solve)


@solve.grad
def solve_grad(a, y, dy, da, dc):
    for b in prange(a.shape[0]):
        m = a[b].T.copy()
        dc[b] = dy[b]
        to_triangle(m, dc[b])
        substitute(m, dc[b])
        for i in range(a.shape[1]):
            for k in range(a.shape[1]):
                total = 0 * a[b, i, k]
                for j in range(dy.shape[2]):
                    total -= dc[b, i, j] * y[b, k, j]
                da[b, i, k] = total


@solve_grad.numpy
def _(a, y, dy):
    dc = np.linalg.solve(a.swapaxes(1, 2), dy)
    return -(dc @ y.swapaxes(1, 2)), dc


@op("b [n] [n] -> b", lower=Matrices())
def det(a, y):
    """Determinant."""
    for b in prange(a.shape[0]):
        y[b] = determinant(a[b].copy())


det.numpy(np.linalg.det)


@det.grad
def det_grad(a, y, dy, da):
    for b in prange(a.shape[0]):
        for i in range(a.shape[1]):
            for j in range(a.shape[1]):
                da[b, i, j] = dy[b] * cofactor(a[b], i, j)


@det_grad.numpy
def _(a, y, dy):
    n = a.shape[1]
    size = np.abs(a).max((1, 2), initial=0) ** n
    if (np.abs(y) > 1e-4 * size).all():  # far from singular
        return (dy * y)[:, None, None] * np.linalg.inv(a).swapaxes(1, 2)
    da = np.empty(a.shape, a.dtype)
    for i in range(n):
        for j in range(n):
            minor = np.delete(np.delete(a, i, 1), j, 2)
            da[:, i, j] = (-1) ** (i + j) * dy * np.linalg.det(minor)
    return da


@op("b [n] [n] -> b, b", lower=Matrices(), visible=2)
def slogdet(a, y, sign):
    """log |det| and the sign of the determinant, without overflow."""
    for b in prange(a.shape[0]):
        m = a[b].copy()
        s = to_triangle(m, m[:, :0])
        total = 0.0
        for k in range(m.shape[0]):
            s = s * (1.0 if m[k, k] > 0 else -1.0 if m[k, k] < 0 else 0.0)
            total = total + (np.log(abs(m[k, k])) if m[k, k] != 0 else -np.inf)
        y[b] = total
        sign[b] = s


@slogdet.numpy
def _(a):
    sign, y = np.linalg.slogdet(a)
    return y, sign


@slogdet.grad
def slogdet_grad(a, dy, da):
    for b in prange(a.shape[0]):
        m = a[b].T.copy()
        for i in range(m.shape[0]):
            for j in range(m.shape[0]):
                da[b, i, j] = dy[b] if i == j else 0 * dy[b]
        to_triangle(m, da[b])
        substitute(m, da[b])


@slogdet_grad.numpy
def _(a, dy):
    return dy[:, None, None] * np.linalg.inv(a).swapaxes(1, 2)
