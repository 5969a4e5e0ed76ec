"""Negative log-likelihood of the right class, from log-probabilities or straight from scores.

    nll_r = −x_rt                         cross entropy_r = log Σ_k exp(x_rk) − x_rt,   t = target_r
    d nll / dx_rc = −[c = t] dy_r         d ce / dx_rc = (p_rc − [c = t]) dy_r,   p = softmax(x)

A negative target is a row that does not count: loss 0, gradient 0.
Cross entropy is one op: its gradient is a subtraction, and large scores cannot overflow. A mean
over rows, class weights and ignored rows are made of it by `nn.functional.cross_entropy`.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import prange
from descent.op import Rows, op
from descent.ops import rowwise
from descent.ops.blocks import LARGE, large, over_rows
from descent.ops.probability import row_max, row_sum

__all__ = ["cross_entropy", "nll"]


@op("r [c], r -> r, r [c], r", lower=Rows(), flops=lambda r, c: 4 * r * c)
def cross_entropy(x, target, y, e, total):
    """−log softmax(x)[target] for every row; keeps e = exp(x − max x) and its sum."""
    for r in prange(x.shape[0]):
        m = x[r, 0]
        for c in range(1, x.shape[1]):
            m = max(m, x[r, c])
        e[r, 0] = np.exp(x[r, 0] - m)
        s = e[r, 0]
        for c in range(1, x.shape[1]):
            e[r, c] = np.exp(x[r, c] - m)
            s += e[r, c]
        total[r] = s
        y[r] = np.log(s) - (x[r, target[r]] - m) if target[r] >= 0 else 0 * m


@cross_entropy.numpy
def _(x, target):
    if not x.size:
        return np.zeros(x.shape[0], x.dtype), x, np.zeros(x.shape[0], x.dtype)
    e = x - row_max(x)
    right = e[np.arange(len(target)), target]
    np.exp(e, out=e)
    total = row_sum(e)[:, 0]
    y = np.log(total)
    y -= right
    ignored = target < 0
    if np.logical_or.reduce(ignored):
        y[ignored] = 0
    return y, e, total


@cross_entropy.grad
def cross_entropy_grad(target, e, total, dy, dx):
    for r in prange(e.shape[0]):
        g = dy[r] if target[r] >= 0 else 0 * dy[r]
        for c in range(e.shape[1]):
            dx[r, c] = e[r, c] / total[r] * g
        dx[r, target[r]] -= g


@cross_entropy_grad.numpy
def _(target, e, total, dy):
    ignored = target < 0
    if np.logical_or.reduce(ignored):
        dy = np.where(ignored, 0, dy)
    dx = e * (dy / total)[:, None]
    dx[np.arange(len(target)), target] -= dy
    return dx


@cross_entropy.ladder.add("tuned", when=large)
def _(x, target):
    x = np.ascontiguousarray(x)
    e, y, total = np.empty_like(x), np.empty(len(x), x.dtype), np.empty(len(x), x.dtype)

    over_rows(
        lambda s: rowwise.cross_entropy(x[s], target[s], y[s], e[s], total[s]),
        len(x),
        1 + 2 * LARGE // x.shape[1],
    )
    return y, e, total


@cross_entropy_grad.add("tuned", when=lambda target, e, total, dy: large(e))
def _(target, e, total, dy):
    dx, dy = np.empty_like(e), np.ascontiguousarray(dy)
    over_rows(
        lambda s: rowwise.cross_entropy_grad(target[s], e[s], total[s], dy[s], dx[s]),
        len(e),
        1 + 2 * LARGE // e.shape[1],
    )
    return dx


@op("r [c], r -> r", lower=Rows())
def nll(x, target, y):
    """−x[target] for every row of log-probabilities."""
    for r in prange(x.shape[0]):
        y[r] = -x[r, target[r]] if target[r] >= 0 else 0 * x[r, 0]


@nll.numpy
def _(x, target):
    return np.where(target < 0, 0, -x[np.arange(len(target)), target])


@nll.grad
def nll_grad(target, dy, dx):
    for r in prange(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[r, c] = 0 * dy[r]
        if target[r] >= 0:
            dx[r, target[r]] = -dy[r]


@nll_grad.numpy
def _(target, dy, shape):
    dx = np.zeros(shape, dy.dtype)
    dx[np.arange(len(target)), target] = np.where(target < 0, 0, -dy)
    return dx
