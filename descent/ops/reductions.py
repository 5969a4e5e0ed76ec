"""Reductions: many numbers become one.

sum      y_r = Σ_c x_rc                     mean       y_r = (1/C) Σ_c x_rc
prod     y_r = Π_c x_rc                     logsumexp  y_r = m + log Σ_c exp(x_rc − m),  m = max x
variance and norms are in `spread`, the largest and smallest in `extremes`.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import prange
from descent.op import Rows, op
from descent.ops import rowwise
from descent.ops.blocks import LARGE, large_rows, to_rows

__all__ = ["logsumexp", "mean", "prod", "spread_rows", "sum_", "sum_rows"]

_BLOCK = 512  # numbers added one after the other in float32 before partial sums are


def sum_rows(x):
    """Σ over the last axis of a matrix; NumPy's pairwise summation wherever the data lies.

    NumPy adds pairwise along contiguous memory only. Adding 10⁶ float32 numbers one after the
    other loses three digits, so a long strided axis is added in blocks.
    """
    n = x.shape[1]
    if n <= 2 * _BLOCK or x.dtype.itemsize > 4 or x.strides[1] == x.itemsize or x.dtype.kind != "f":
        return np.add.reduce(x, 1)
    whole = n // _BLOCK * _BLOCK
    partial = np.add.reduce(x[:, :whole].reshape(x.shape[0], -1, _BLOCK), 2)
    total = sum_rows(partial)
    return total + np.add.reduce(x[:, whole:], 1) if whole < n else total


def spread_rows(dy, shape):
    """dy_r in every column; a read-only view when it would be large."""
    if shape[0] * shape[1] > 16384:
        return np.broadcast_to(dy[:, None], shape)
    dx = np.empty(shape, dy.dtype)
    dx[...] = dy[:, None]
    return dx


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: r * c)
def sum_(x, y):
    """Sum over the chosen axes."""
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if x.shape[1] else 0.0
        for c in range(x.shape[1]):
            total += x[r, c]
        y[r] = total


sum_.numpy(sum_rows)


@sum_.ladder.add("tuned", when=large_rows)
def compiled_sums(x):
    parts = min(4 * x.shape[1] // LARGE, 64)
    if len(x) == 1 and parts > 1:  # one long row: its pieces side by side, then a rest
        whole = x.shape[1] // parts * parts
        pieces = to_rows(rowwise.totals, x[:, :whole].reshape(parts, -1))
        return np.add.reduce(np.append(pieces, x[0, whole:]), keepdims=True, dtype=x.dtype)
    return to_rows(rowwise.totals, x)


@sum_.grad
def sum_grad(dy, dx):
    for r in prange(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[r, c] = dy[r]


sum_grad.numpy(lambda dy, shape: spread_rows(dy, shape))


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: r * c)
def mean(x, y):
    """Arithmetic mean over the chosen axes."""
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if x.shape[1] else np.nan
        for c in range(x.shape[1]):
            total += x[r, c]
        y[r] = total / x.shape[1] if x.shape[1] else total


@mean.numpy
def _(x):
    return sum_rows(x) / x.dtype.type(x.shape[1])


@mean.ladder.add("tuned", when=large_rows)
def _(x):
    return compiled_sums(x) / x.dtype.type(x.shape[1])


@mean.grad
def mean_grad(dy, dx):
    for r in prange(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[r, c] = dy[r] / dx.shape[1]


@mean_grad.numpy
def _(dy, shape):
    return spread_rows(dy / dy.dtype.type(shape[1]), shape)


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: r * c)
def prod(x, y):
    """Product over the chosen axes."""
    for r in prange(x.shape[0]):
        total = x[r, 0] if x.shape[1] else 1.0
        for c in range(1, x.shape[1]):
            total *= x[r, c]
        y[r] = total


@prod.numpy
def _(x):
    return np.multiply.reduce(x, 1)


@prod.grad
def prod_grad(x, dy, dx):
    # The product of the others, from the left and from the right: right with zeros, unlike y / x.
    for r in prange(x.shape[0]):
        left = dy[r]
        for c in range(x.shape[1]):
            dx[r, c] = left
            left *= x[r, c]
        right = x[r, x.shape[1] - 1] if x.shape[1] else dy[r]
        for c in range(x.shape[1] - 2, -1, -1):
            dx[r, c] *= right
            right *= x[r, c]


@prod_grad.numpy
def _(x, dy):
    dx = np.empty(x.shape, x.dtype)
    if not x.size:
        return dx
    dx[:, 0] = dy
    dx[:, 1:] = np.multiply.accumulate(x[:, :-1], 1) * dy[:, None]
    dx[:, :-1] *= np.multiply.accumulate(x[:, :0:-1], 1)[:, ::-1]
    return dx


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: 4 * r * c)
def logsumexp(x, y):
    """Logarithm of the sum of exponentials, without overflow."""
    for r in prange(x.shape[0]):
        m = x[r, 0] if x.shape[1] else -np.inf
        for c in range(1, x.shape[1]):
            m = max(m, x[r, c])
        if abs(m) == np.inf or x.shape[1] == 0:
            y[r] = m
        else:
            total = np.exp(x[r, 0] - m)
            for c in range(1, x.shape[1]):
                total += np.exp(x[r, c] - m)
            y[r] = m + np.log(total)


@logsumexp.numpy
def _(x):
    if not x.shape[1]:
        return np.full(x.shape[0], -np.inf, x.dtype)
    m = np.maximum.reduce(x, 1)
    shift = np.where(np.abs(m) == np.inf, x.dtype.type(0), m)
    y = np.exp(x - shift[:, None])
    return np.log(np.add.reduce(y, 1)) + shift


@logsumexp.grad
def logsumexp_grad(x, y, dy, dx):
    for r in prange(x.shape[0]):
        shift = y[r] if y[r] > -np.inf else 0 * dy[r]
        for c in range(x.shape[1]):
            dx[r, c] = dy[r] * np.exp(x[r, c] - shift)


@logsumexp_grad.numpy
def _(x, y, dy):
    dx = x - np.where(y == -np.inf, y.dtype.type(0), y)[:, None]
    np.exp(dx, out=dx)
    dx *= dy[:, None]
    return dx
