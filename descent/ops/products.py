"""Products of matrices.

matmul   y[b, m, n] = Σ_k a[b, m, k] · c[b, k, n]        da = dy · cᵀ        dc = aᵀ · dy
mm       the same with one right-hand matrix for all rows
linear   y = x wᵀ: the weight of a layer holds one row per output        affine   y = x wᵀ + b
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from descent import blas
from descent.kernel import prange
from descent.op import Lowering, Op, op, sum_to
from descent.ops import tiled

__all__ = ["affine", "linear", "matmul", "mm"]


class BatchPlan(NamedTuple):
    batch: tuple[int, ...]
    given: tuple[tuple[int, ...], ...]  # the users' shapes
    folded: bool  # the left operand's batch axes became rows
    ones: tuple[bool, bool]  # 1-D operands got an axis of size 1


class Batched(Lowering):
    """`a @ c` with PyTorch's rules: 1-D operands get an axis, batch axes broadcast.

    When only the left operand has batch axes they are folded into its rows: one large product.
    """

    def down(self, op: Op, arrays: Sequence[np.ndarray], meta: dict[str, Any]):
        a, c = arrays
        if a.ndim == 3 and c.ndim == 3 and a.shape[0] == c.shape[0]:
            return arrays, None
        given, ones = (a.shape, c.shape), (a.ndim == 1, c.ndim == 1)
        if ones[0]:
            a = a[None, :]
        if ones[1]:
            c = c[:, None]
        if c.ndim == 2:
            batch = a.shape[:-1]
            a3 = a.reshape(1, prod(batch), a.shape[-1])
            return [a3, c[None]], BatchPlan(batch, given, True, ones)
        batch = np.broadcast_shapes(a.shape[:-2], c.shape[:-2])
        flat = [
            np.broadcast_to(x, batch + x.shape[-2:]).reshape(prod(batch), *x.shape[-2:])
            for x in (a, c)
        ]
        return flat, BatchPlan(batch, given, False, ones)

    def up(self, op: Op, plan: BatchPlan | None, i: int, out: np.ndarray) -> np.ndarray:
        if plan is None:
            return out
        rows = () if plan.ones[0] else (out.shape[1],)
        columns = () if plan.ones[1] else (out.shape[2],)
        if plan.folded:
            lead = plan.batch[:-1] if plan.ones[0] else plan.batch
            return out.reshape(lead + columns)
        return out.reshape(plan.batch + rows + columns)

    def down_out(self, op: Op, plan: BatchPlan | None, i: int, out: np.ndarray) -> np.ndarray:
        if plan is None:
            return out
        m = 1 if plan.ones[0] else plan.given[0][-2]
        n = 1 if plan.ones[1] else plan.given[1][-1]
        if plan.folded:
            return out.reshape(1, prod(plan.batch), n)
        return out.reshape(prod(plan.batch), m, n)

    def up_in(self, op: Op, plan: BatchPlan | None, i: int, dx: np.ndarray) -> np.ndarray:
        if plan is None:
            return dx
        shape = plan.given[i]
        if plan.folded:
            return dx.reshape(shape)
        full = dx.reshape(plan.batch + dx.shape[1:])
        if plan.ones[i]:
            full = full.squeeze(-2 if i == 0 else -1)
        return sum_to(full, shape)


@op("b m k, b k n -> b m n", lower=Batched(), flops=lambda b, m, k, n: 2 * b * m * k * n)
def matmul(a, c, y):
    """Batched matrix product; rung 1 is three nested sums, the NumPy rung is BLAS."""
    for b in prange(a.shape[0]):
        for m in range(a.shape[1]):
            for n in range(c.shape[2]):
                total = a[b, m, 0] * c[b, 0, n] if a.shape[2] else 0.0
                for k in range(1, a.shape[2]):
                    total += a[b, m, k] * c[b, k, n]
                y[b, m, n] = total


@matmul.numpy
def _(a, c):
    return blas.matmul(a, c)


@matmul.grad
def matmul_grad_a(c, dy, da):
    for b in prange(dy.shape[0]):
        for m in range(dy.shape[1]):
            for k in range(c.shape[1]):
                total = dy[b, m, 0] * c[b, k, 0] if dy.shape[2] else 0.0
                for n in range(1, dy.shape[2]):
                    total += dy[b, m, n] * c[b, k, n]
                da[b, m, k] = total


@matmul_grad_a.numpy
def _(c, dy):
    return blas.matmul(dy, c.swapaxes(1, 2))


@matmul.grad
def matmul_grad_c(a, dy, dc):
    for b in prange(dy.shape[0]):
        for k in range(a.shape[2]):
            for n in range(dy.shape[2]):
                total = a[b, 0, k] * dy[b, 0, n] if dy.shape[1] else 0.0
                for m in range(1, dy.shape[1]):
                    total += a[b, m, k] * dy[b, m, n]
                dc[b, k, n] = total


@matmul_grad_c.numpy
def _(a, dy):
    return blas.matmul(a.swapaxes(1, 2), dy)


class FoldRows(Lowering):
    """All axes but the last of the first input become rows; other inputs stay as they are."""

    def down(self, op: Op, arrays: Sequence[np.ndarray], meta: dict[str, Any]):
        x = arrays[0]
        if x.ndim == 2:
            return arrays, None
        return [x.reshape(prod(x.shape[:-1]), x.shape[-1]), *arrays[1:]], x.shape

    def up(self, op: Op, plan: tuple[int, ...] | None, i: int, out: np.ndarray) -> np.ndarray:
        return out if plan is None else out.reshape(plan[:-1] + out.shape[1:])

    def down_out(self, op: Op, plan: tuple[int, ...] | None, i: int, out: np.ndarray) -> np.ndarray:
        return out if plan is None else out.reshape(prod(plan[:-1]), out.shape[-1])

    def up_in(self, op: Op, plan: tuple[int, ...] | None, i: int, dx: np.ndarray) -> np.ndarray:
        return dx if i or plan is None else dx.reshape(plan)


@op("m k, k n -> m n", lower=FoldRows(), flops=lambda m, k, n: 2 * m * k * n)
def mm(a, c, y):
    """Product of matrices; all axes of `a` but the last count as rows."""
    for m in prange(a.shape[0]):
        for n in range(c.shape[1]):
            total = a[m, 0] * c[0, n] if a.shape[1] else 0.0
            for k in range(1, a.shape[1]):
                total += a[m, k] * c[k, n]
            y[m, n] = total


@mm.numpy
def _(a, c):
    return blas.dot(a, c)


@mm.grad
def mm_grad_a(c, dy, da):
    for m in prange(dy.shape[0]):
        for k in range(c.shape[0]):
            total = dy[m, 0] * c[k, 0] if dy.shape[1] else 0.0
            for n in range(1, dy.shape[1]):
                total += dy[m, n] * c[k, n]
            da[m, k] = total


@mm_grad_a.numpy
def _(c, dy):
    return blas.dot(dy, c.T)


@mm.grad
def mm_grad_c(a, dy, dc):
    for k in prange(a.shape[1]):
        for n in range(dy.shape[1]):
            total = a[0, k] * dy[0, n] if dy.shape[0] else 0.0
            for m in range(1, dy.shape[0]):
                total += a[m, k] * dy[m, n]
            dc[k, n] = total


@mm_grad_c.numpy
def _(a, dy):
    return blas.dot(a.T, dy)


@op("r k, n k -> r n", lower=FoldRows(), flops=lambda r, n, k: 2 * r * n * k)
def linear(x, w, y):
    """Linear layer without bias: y = x wᵀ. The weight holds one row per output."""
    for r in prange(x.shape[0]):
        for n in range(w.shape[0]):
            total = x[r, 0] * w[n, 0] if x.shape[1] else 0.0
            for k in range(1, x.shape[1]):
                total += x[r, k] * w[n, k]
            y[r, n] = total


@linear.numpy
def _(x, w):
    return blas.dot(x, w.T)


@linear.ladder.add("tuned", lambda x, w: tiled.few_rows(x, w))
def _(x, w):
    return tiled.matmul(x, w.T)


def linear_grad_x(w, dy, dx):
    for r in prange(dy.shape[0]):
        for k in range(w.shape[1]):
            total = dy[r, 0] * w[0, k] if dy.shape[1] else 0.0
            for n in range(1, dy.shape[1]):
                total += dy[r, n] * w[n, k]
            dx[r, k] = total


def linear_grad_w(x, dy, dw):
    for n in prange(dy.shape[1]):
        for k in range(x.shape[1]):
            total = x[0, k] * dy[0, n] if x.shape[0] else 0.0
            for r in range(1, x.shape[0]):
                total += x[r, k] * dy[r, n]
            dw[n, k] = total


linear.grad(linear_grad_x).numpy(lambda w, dy: blas.dot(dy, w))
linear.grad(linear_grad_w).numpy(lambda x, dy: blas.dot(dy.T, x))


@op("r k, n k, n -> r n", lower=FoldRows(), flops=lambda r, n, k: 2 * r * n * k)
def affine(x, w, b, y):
    """Linear layer with bias: y = x wᵀ + b."""
    for r in prange(x.shape[0]):
        for n in range(w.shape[0]):
            total = b[n]
            for k in range(x.shape[1]):
                total += x[r, k] * w[n, k]
            y[r, n] = total


@affine.numpy
def _(x, w, b):
    y = blas.dot(x, w.T)
    y += b
    return y


@affine.ladder.add("tuned", lambda x, w, b: tiled.few_rows(x, w))
def _(x, w, b):
    return tiled.matmul(x, w.T, b)


@affine.grad
def affine_grad_b(dy, db):
    for n in range(dy.shape[1]):
        total = dy[0, n] if dy.shape[0] else 0.0
        for r in range(1, dy.shape[0]):
            total += dy[r, n]
        db[n] = total


@affine_grad_b.numpy
def _(dy):
    return dy.sum(0)


affine.grad(linear_grad_x).numpy(lambda w, dy: blas.dot(dy, w))
affine.grad(linear_grad_w).numpy(lambda x, dy: blas.dot(dy.T, x))
