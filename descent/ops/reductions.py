"""Reductions: many numbers become one.

sum: y_r = Σ_c x_rc       mean: y_r = (1/C) Σ_c x_rc
"""

from __future__ import annotations

import numpy as np

from descent.kernel import prange
from descent.op import Rows, op

__all__ = ["mean", "sum_"]


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: r * c)
def sum_(x, y):
    """Sum over the chosen axes."""
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if x.shape[1] else 0.0
        for c in range(x.shape[1]):
            total += x[r, c]
        y[r] = total


@sum_.numpy
def _(x):
    return x.sum(1)


@sum_.grad
def sum_grad(dy, dx):
    for r in prange(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[r, c] = dy[r]


@sum_grad.numpy
def _(dy, shape):
    return np.broadcast_to(dy[:, None], shape)


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
    return x.sum(1) / x.dtype.type(x.shape[1])


@mean.grad
def mean_grad(dy, dx):
    for r in prange(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[r, c] = dy[r] / dx.shape[1]


@mean_grad.numpy
def _(dy, shape):
    return np.broadcast_to((dy / dy.dtype.type(shape[1]))[:, None], shape)
