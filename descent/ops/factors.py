"""Factors of matrices: Cholesky's triangle, singular values.

cholesky   A = L Lᵀ             gradient: Murray 2016, arXiv:1602.07527, §3.3 (the loops in reverse)
svdvals    A = U diag(s) Vᵀ     dA = U diag(ds) Vᵀ;   one-sided Jacobi rotations (Hestenes 1958)

The NumPy rungs are LAPACK's. Golub & Van Loan, "Matrix Computations", sections 4.2 and 8.6.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import prange
from descent.op import op
from descent.ops.solving import Matrices

__all__ = ["cholesky", "svdvals"]


@op("b [n] [n] -> b [n] [n]", lower=Matrices())
def cholesky(a, y):
    """The lower triangle L with A = L Lᵀ; of A, its symmetric part (A + Aᵀ) / 2 is read."""
    for b in prange(a.shape[0]):
        for j in range(a.shape[1]):
            for i in range(a.shape[1]):
                y[b, i, j] = 0 * a[b, i, j]
        for j in range(a.shape[1]):
            for i in range(j, a.shape[1]):
                total = (a[b, i, j] + a[b, j, i]) / 2
                for k in range(j):
                    total -= y[b, i, k] * y[b, j, k]
                y[b, i, j] = np.sqrt(total) if i == j else total / y[b, j, j]


@cholesky.numpy
def _(a):
    return np.linalg.cholesky((a + a.swapaxes(1, 2)) / a.dtype.type(2))


@cholesky.grad
def cholesky_grad(y, dy, da):
    n = y.shape[1]
    for b in prange(y.shape[0]):
        for i in range(n):
            for j in range(n):
                da[b, i, j] = dy[b, i, j] if i >= j else 0 * dy[b, i, j]
        for k in range(n - 1, -1, -1):
            for j in range(k + 1, n):
                for i in range(j, n):
                    da[b, i, k] -= da[b, i, j] * y[b, j, k]
                    da[b, j, k] -= da[b, i, j] * y[b, i, k]
            for j in range(k + 1, n):
                da[b, j, k] = da[b, j, k] / y[b, k, k]
                da[b, k, k] -= y[b, j, k] * da[b, j, k]
            da[b, k, k] = da[b, k, k] / (2 * y[b, k, k])
        for i in range(n):
            for j in range(i):
                da[b, i, j] = da[b, i, j] / 2
                da[b, j, i] = da[b, i, j]


@cholesky_grad.numpy
def _(y, dy):
    yt = y.swapaxes(1, 2)
    p = np.tril(yt @ dy)
    n = y.shape[1]
    p[:, np.arange(n), np.arange(n)] /= 2
    s = np.linalg.solve(yt, np.linalg.solve(yt, p.swapaxes(1, 2)).swapaxes(1, 2))
    return (s + s.swapaxes(1, 2)) / y.dtype.type(2)


def rotate(u, v, p, q):
    """Turn columns p and q of u (and of v) until those of u are orthogonal; were they not?"""
    a, c, g = 0 * u[0, p], 0 * u[0, p], 0 * u[0, p]
    for i in range(u.shape[0]):
        a += u[i, p] * u[i, p]
        c += u[i, q] * u[i, q]
        g += u[i, p] * u[i, q]
    if abs(g) <= 1e-15 * np.sqrt(a) * np.sqrt(c):
        return False
    z = (c - a) / (2 * g)
    t = (1.0 if z >= 0 else -1.0) / (abs(z) + np.sqrt(1 + z * z))
    cos = 1 / np.sqrt(1 + t * t)
    sin = cos * t
    for i in range(u.shape[0]):
        u[i, p], u[i, q] = cos * u[i, p] - sin * u[i, q], sin * u[i, p] + cos * u[i, q]
    for i in range(v.shape[0]):
        v[i, p], v[i, q] = cos * v[i, p] - sin * v[i, q], sin * v[i, p] + cos * v[i, q]
    return True


@op("b [m] [n] -> b [n], b [m] [n], b [n] [n]", lower=Matrices())
def svdvals(a, y, u, v):
    """Singular values of matrices with at least as many rows as columns, largest first."""
    for b in prange(a.shape[0]):
        u[b] = a[b]
        n = a.shape[2]
        for i in range(n):
            for j in range(n):
                v[b, i, j] = 1.0 if i == j else 0.0
        for _ in range(60):  # sweeps; a handful suffices
            moved = False
            for p in range(n):
                for q in range(p + 1, n):
                    if rotate(u[b], v[b], p, q):
                        moved = True
            if not moved:
                break
        for k in range(n):  # the longest column so far comes to the front
            for j in range(k, n):
                total = 0 * a[b, 0, 0]
                for i in range(a.shape[1]):
                    total += u[b, i, j] * u[b, i, j]
                y[b, j] = np.sqrt(total)
            best = k
            for j in range(k + 1, n):
                if y[b, j] > y[b, best]:
                    best = j
            y[b, k] = y[b, best]
            for i in range(a.shape[1]):
                u[b, i, k], u[b, i, best] = u[b, i, best], u[b, i, k]
            for i in range(n):
                v[b, i, k], v[b, i, best] = v[b, i, best], v[b, i, k]
        for k in range(n):
            for i in range(a.shape[1]):
                u[b, i, k] = u[b, i, k] / y[b, k] if y[b, k] > 0 else 0 * u[b, i, k]


@svdvals.numpy
def _(a):
    u, y, vt = np.linalg.svd(a, full_matrices=False)
    return y, u, vt.swapaxes(1, 2)


@svdvals.grad
def svdvals_grad(u, v, dy, da):
    for b in prange(u.shape[0]):
        for i in range(u.shape[1]):
            for j in range(v.shape[1]):
                total = 0 * u[b, i, 0]
                for k in range(v.shape[1]):
                    total += u[b, i, k] * dy[b, k] * v[b, j, k]
                da[b, i, j] = total


@svdvals_grad.numpy
def _(u, v, dy):
    return (u * dy[:, None, :]) @ v.swapaxes(1, 2)
