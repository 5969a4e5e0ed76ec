"""How far numbers lie apart, and from zero: variance, standard deviation, norms.

var    y_r = Σ_c (x_rc − mean_r)² / (C − correction)           std = √var
norm   y_r = (Σ_c |x_rc|^p)^(1/p)                               p = 2: √Σ x²

The derivative of a square root at 0 is infinite; as in PyTorch, std and the norms pass 0 there.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import prange
from descent.op import Rows, op
from descent.ops.reductions import sum_rows

__all__ = ["norm", "power_norm", "std", "var"]


def _deviations(x):
    return x - (sum_rows(x) / x.dtype.type(x.shape[1]))[:, None]


def _free(n, correction):
    """How many deviations are free; 0 when the correction is larger than their number."""
    return max(n - correction, 0.0)


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: 4 * r * c)
def var(x, y, correction):
    """Mean squared deviation from the mean, over C − correction."""
    n = x.shape[1]
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if n else np.nan
        for c in range(n):
            total += x[r, c]
        m = total / max(n, 1)
        squares = 0 * m
        for c in range(n):
            squares += (x[r, c] - m) * (x[r, c] - m)
        y[r] = squares / (n - correction) if n > correction else squares * np.inf


@var.numpy
def _(x, correction):
    d = _deviations(x)
    return sum_rows(d * d) / x.dtype.type(_free(x.shape[1], correction))


@var.grad
def var_grad(x, dy, dx, correction):
    n = x.shape[1]
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if n else np.nan
        for c in range(n):
            total += x[r, c]
        m = total / max(n, 1)
        k = 2 * dy[r] / (n - correction) if n != correction else dy[r] * np.inf
        for c in range(n):
            dx[r, c] = k * (x[r, c] - m)


@var_grad.numpy
def _(x, dy, correction):
    k = x.dtype.type(2) / x.dtype.type(x.shape[1] - correction)
    return (k * dy)[:, None] * _deviations(x)


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: 4 * r * c)
def std(x, y, correction):
    """Square root of the variance."""
    n = x.shape[1]
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if n else np.nan
        for c in range(n):
            total += x[r, c]
        m = total / max(n, 1)
        squares = 0 * m
        for c in range(n):
            squares += (x[r, c] - m) * (x[r, c] - m)
        y[r] = np.sqrt(squares / (n - correction)) if n > correction else squares * np.inf


@std.numpy
def _(x, correction):
    d = _deviations(x)
    return np.sqrt(sum_rows(d * d) / x.dtype.type(_free(x.shape[1], correction)))


@std.grad
def std_grad(x, y, dy, dx, correction):
    n = x.shape[1]
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if n else np.nan
        for c in range(n):
            total += x[r, c]
        m = total / max(n, 1)
        k = 0 * dy[r] if y[r] == 0 else dy[r] / (2 * y[r])
        k = 2 * k / (n - correction) if n != correction else k * np.inf
        for c in range(n):
            dx[r, c] = k * (x[r, c] - m)


@std_grad.numpy
def _(x, y, dy, correction):
    k = np.where(y == 0, y.dtype.type(0), dy / (y + y))
    k *= x.dtype.type(2) / x.dtype.type(x.shape[1] - correction)
    return k[:, None] * _deviations(x)


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: 2 * r * c)
def norm(x, y):
    """Euclidean length: the square root of the sum of squares."""
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if x.shape[1] else 0.0
        for c in range(x.shape[1]):
            total += x[r, c] * x[r, c]
        y[r] = np.sqrt(total)


@norm.numpy
def _(x):
    if x.shape[0] == 1:
        return np.sqrt(np.dot(x[0], x[0])).reshape(1)
    return np.sqrt(sum_rows(x * x))


@norm.grad
def norm_grad(x, y, dy, dx):
    for r in prange(x.shape[0]):
        for c in range(x.shape[1]):
            dx[r, c] = dy[r] * x[r, c] / y[r] if y[r] != 0 else 0 * x[r, c]


@norm_grad.numpy
def _(x, y, dy):
    if not y.all():
        return x * np.where(y == 0, y.dtype.type(0), dy / y)[:, None]
    return x * (dy / y)[:, None]


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: 3 * r * c)
def power_norm(x, y, p):
    """(Σ |x|^p)^(1/p) for a finite p other than 0."""
    for r in prange(x.shape[0]):
        total = 0 * x[r, 0] if x.shape[1] else 0.0
        for c in range(x.shape[1]):
            total += abs(x[r, c]) ** p
        y[r] = total ** (1 / p)


@power_norm.numpy
def _(x, p):
    return sum_rows(np.abs(x) ** x.dtype.type(p)) ** x.dtype.type(1 / p)


@power_norm.grad
def power_norm_grad(x, y, dy, dx, p):
    # d|x|: sign(x) (|x| / y)^(p−1), as a product of powers that stay finite
    for r in prange(x.shape[0]):
        for c in range(x.shape[1]):
            a = abs(x[r, c])
            if a == 0 or y[r] == 0:
                dx[r, c] = 0 * x[r, c]
            else:
                g = dy[r] * a ** (p - 1) * y[r] ** (1 - p)
                dx[r, c] = g if x[r, c] > 0 else -g


@power_norm_grad.numpy
def _(x, y, dy, p):
    a = np.abs(x)
    row = np.where(y == 0, y.dtype.type(0), dy * y ** y.dtype.type(1 - p))
    dx = np.sign(x) * a ** x.dtype.type(p - 1) * row[:, None]
    return np.where(a == 0, x.dtype.type(0), dx) if p < 1 else dx
