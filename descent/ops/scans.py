"""Scans: every position gets the reduction of what stands up to it.

cumsum         y_c = Σ_{k≤c} x_k                   cumprod   y_c = Π_{k≤c} x_k
logcumsumexp   y_c = log Σ_{k≤c} exp x_k           cummax, cummin: the extreme so far, its position

float32 numbers are accumulated in float64 and rounded once.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import prange
from descent.op import Rows, op

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]


def _accumulate(ufunc, x):
    wide = np.float64 if x.dtype == np.float32 else x.dtype
    return ufunc.accumulate(x, 1, dtype=wide).astype(x.dtype, copy=False)


@op("r [c] -> r [c]", lower=Rows(), flops=lambda r, c: r * c)
def cumsum(x, y):
    """Sum of the elements up to each position."""
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if x.shape[1] else 0.0
        for c in range(x.shape[1]):
            total += x[r, c]
            y[r, c] = total


@cumsum.numpy
def _(x):
    return _accumulate(np.add, x)


@cumsum.grad
def cumsum_grad(dy, dx):
    for r in prange(dy.shape[0]):
        total = 0 * dy[r, 0] if dy.shape[1] else 0.0
        for c in range(dy.shape[1] - 1, -1, -1):
            total += dy[r, c]
            dx[r, c] = total


@cumsum_grad.numpy
def _(dy):
    return _accumulate(np.add, dy[:, ::-1])[:, ::-1]


@op("r [c] -> r [c]", lower=Rows(), flops=lambda r, c: r * c)
def cumprod(x, y):
    """Product of the elements up to each position."""
    for r in prange(x.shape[0]):
        total = x[r, 0] if x.shape[1] else 1.0
        for c in range(x.shape[1]):
            if c:
                total *= x[r, c]
            y[r, c] = total


@cumprod.numpy
def _(x):
    return _accumulate(np.multiply, x)


@cumprod.grad
def cumprod_grad(x, dy, dx):
    # Every product without the factor x_k, added up: right with zeros, unlike dividing by x_k.
    for r in prange(x.shape[0]):
        before = 0 * dy[r, 0] + 1 if x.shape[1] else 1.0
        for k in range(x.shape[1]):
            others = before
            total = dy[r, k] * others
            for c in range(k + 1, x.shape[1]):
                others *= x[r, c]
                total += dy[r, c] * others
            dx[r, k] = total
            before *= x[r, k]


@cumprod_grad.numpy
def _(x, dy):
    if x.all():
        y = np.multiply.accumulate(x, 1, dtype=np.float64) * dy
        dx = np.add.accumulate(y[:, ::-1], 1)[:, ::-1] / x
        return dx.astype(x.dtype, copy=False)
    dx = np.empty(x.shape, x.dtype)
    before = np.ones(x.shape[0], x.dtype)
    for k in range(x.shape[1]):
        others = np.concatenate([before[:, None], x[:, k + 1 :]], 1)
        np.multiply.accumulate(others, 1, out=others)
        dx[:, k] = (dy[:, k:] * others).sum(1)
        before = before * x[:, k]
    return dx


@op("r [c] -> r [c], r [c]", lower=Rows(), visible=2, out=[None, "int64"])
def cummax(x, y, index):
    """The largest element up to each position, and where it stands (the last of equal ones)."""
    for r in prange(x.shape[0]):
        k = 0
        for c in range(x.shape[1]):
            if x[r, c] >= x[r, k] or x[r, c] != x[r, c]:
                k = c
            y[r, c] = x[r, k]
            index[r, c] = k


@cummax.numpy
def _(x):
    y = np.maximum.accumulate(x, 1)
    return y, _newest((x == y) | (x != x))


@op("r [c] -> r [c], r [c]", lower=Rows(), visible=2, out=[None, "int64"])
def cummin(x, y, index):
    """The smallest element up to each position, and where it stands (the last of equal ones)."""
    for r in prange(x.shape[0]):
        k = 0
        for c in range(x.shape[1]):
            if x[r, c] <= x[r, k] or x[r, c] != x[r, c]:
                k = c
            y[r, c] = x[r, k]
            index[r, c] = k


@cummin.numpy
def _(x):
    y = np.minimum.accumulate(x, 1)
    return y, _newest((x == y) | (x != x))


def _newest(marked):
    """For every position the last marked one up to it."""
    return np.maximum.accumulate(np.where(marked, np.arange(marked.shape[1]), 0), 1)


def picked_grad(index, dy, dx):
    for r in prange(dy.shape[0]):
        for c in range(dy.shape[1]):
            dx[r, c] = 0 * dy[r, c]
        for c in range(dy.shape[1]):
            dx[r, index[r, c]] += dy[r, c]


def _picked(index, dy):
    n = dy.shape[1]
    flat = (index + n * np.arange(len(index))[:, None]).ravel()
    return np.bincount(flat, dy.ravel(), dy.size).astype(dy.dtype).reshape(dy.shape)


cummax.grad(picked_grad).numpy(_picked)
cummin.grad(picked_grad).numpy(_picked)


@op("r [c] -> r [c]", lower=Rows(), flops=lambda r, c: 4 * r * c)
def logcumsumexp(x, y):
    """Logarithm of the sum of exponentials up to each position, without overflow."""
    for r in prange(x.shape[0]):
        for c in range(x.shape[1]):
            if c == 0:
                y[r, c] = x[r, c]
            elif abs(x[r, c]) == np.inf or abs(y[r, c - 1]) == np.inf:
                y[r, c] = max(x[r, c], y[r, c - 1])
            else:
                m = max(x[r, c], y[r, c - 1])
                y[r, c] = m + np.log(np.exp(y[r, c - 1] - m) + np.exp(x[r, c] - m))


@logcumsumexp.numpy
def _(x):
    return _accumulate(np.logaddexp, x)


@logcumsumexp.grad
def logcumsumexp_grad(x, y, dy, dx):
    # dx_k = Σ_{c≥k} dy_c exp(x_k − y_c), from the right: every exponent is at most 0
    for r in prange(x.shape[0]):
        later = 0 * dy[r, 0] if x.shape[1] else 0.0
        for k in range(x.shape[1] - 1, -1, -1):
            if k + 1 < x.shape[1] and y[r, k] > -np.inf:
                later *= np.exp(y[r, k] - y[r, k + 1])
            later += dy[r, k]
            dx[r, k] = later * np.exp(x[r, k] - y[r, k]) if x[r, k] > -np.inf else 0 * later


@logcumsumexp_grad.numpy
def _(x, y, dy):
    y = np.logaddexp.accumulate(x, 1, dtype=np.float64)  # y as rounded may be off by 1e-7 · |y|
    dx = np.empty(x.shape, x.dtype)
    later = np.zeros(x.shape[0])
    for k in range(x.shape[1] - 1, -1, -1):
        if k + 1 < x.shape[1]:
            step = np.exp(y[:, k] - y[:, k + 1])
            later *= np.where(y[:, k] > -np.inf, step, 1)
        later += dy[:, k]
        dx[:, k] = np.where(x[:, k] > -np.inf, later * np.exp(x[:, k] - y[:, k]), 0)
    return dx
