"""Softmax: turn scores into probabilities.

    y_c = exp(x_c − max x) / Σ_k exp(x_k − max x)        dx_c = y_c (dy_c − Σ_k dy_k y_k)

Bridle 1990, "Probabilistic Interpretation of Feedforward Classification Network Outputs".
log_softmax is its logarithm, computed without forming the quotient.
"""

from __future__ import annotations

import functools

import numpy as np

from descent.blas import single_threaded_blas
from descent.kernel import prange
from descent.op import Rows, op
from descent.ops import rowwise
from descent.ops.blocks import by_rows, large

__all__ = ["log_softmax", "row_max", "row_sum", "softmax"]


_KEPT = 4096  # rows up to which the places where they start are kept


@functools.lru_cache(maxsize=64)
def _starts(r: int, c: int) -> np.ndarray:
    return np.arange(0, r * c, c)[:, None]


@functools.lru_cache(maxsize=16)
def _ones(c: int, dtype: np.dtype) -> np.ndarray:
    return np.ones((c, 1), dtype)


def row_max(x: np.ndarray) -> np.ndarray:
    """The largest element of every row, as a column: by argmax, up to 4x faster than max."""
    if x.shape[0] > _KEPT or not x.flags.c_contiguous:
        return x[np.arange(x.shape[0]), x.argmax(1)][:, None]
    return x.take(x.argmax(1, keepdims=True) + _starts(*x.shape))


def row_sum(x: np.ndarray) -> np.ndarray:
    """The sum of every row, as a column: by BLAS, up to 3x faster than einsum, 10x than sum."""
    if x.dtype.char not in "fd":
        return np.einsum("rc->r", x)[:, None]
    single_threaded_blas()
    return x.dot(_ones(x.shape[1], x.dtype))


@op("r [c] -> r [c]", lower=Rows(), flops=lambda r, c: 5 * r * c)
def softmax(x, y):
    """Probabilities proportional to exp(x), summing to 1 along `dim`."""
    for r in prange(x.shape[0]):
        m = x[r, 0]
        for c in range(1, x.shape[1]):
            m = max(m, x[r, c])
        total = 0 * m
        for c in range(x.shape[1]):
            y[r, c] = np.exp(x[r, c] - m)
            total += y[r, c]
        for c in range(x.shape[1]):
            y[r, c] = y[r, c] / total


@softmax.numpy
def _(x):
    if not x.size:
        return x.copy()
    y = x - row_max(x)
    np.exp(y, out=y)
    y /= row_sum(y)
    return y


@softmax.ladder.add("tuned", when=large)
def _(x):
    return by_rows(rowwise.softmax, x)


@softmax.grad
def softmax_grad(y, dy, dx):
    for r in prange(y.shape[0]):
        dot = dy[r, 0] * y[r, 0]
        for c in range(1, y.shape[1]):
            dot += dy[r, c] * y[r, c]
        for c in range(y.shape[1]):
            dx[r, c] = y[r, c] * (dy[r, c] - dot)


@softmax_grad.numpy
def _(y, dy):
    dx = dy * y
    np.subtract(dy, row_sum(dx), out=dx)
    dx *= y
    return dx


@softmax_grad.add("tuned", when=large)
def _(y, dy):
    return by_rows(rowwise.softmax_grad, y, dy)


@op("r [c] -> r [c]", lower=Rows(), flops=lambda r, c: 5 * r * c)
def log_softmax(x, y):
    """Logarithm of softmax: x − max x − log Σ exp(x − max x)."""
    for r in prange(x.shape[0]):
        m = x[r, 0]
        for c in range(1, x.shape[1]):
            m = max(m, x[r, c])
        total = np.exp(x[r, 0] - m)
        for c in range(1, x.shape[1]):
            total += np.exp(x[r, c] - m)
        shift = m + np.log(total)
        for c in range(x.shape[1]):
            y[r, c] = x[r, c] - shift


@log_softmax.numpy
def _(x):
    if not x.size:
        return x.copy()
    y = x - row_max(x)
    y -= np.log(row_sum(np.exp(y)))
    return y


@log_softmax.ladder.add("tuned", when=large)
def _(x):
    return by_rows(rowwise.log_softmax, x)


@log_softmax.grad
def log_softmax_grad(y, dy, dx):
    for r in prange(y.shape[0]):
        total = dy[r, 0]
        for c in range(1, y.shape[1]):
            total += dy[r, c]
        for c in range(y.shape[1]):
            dx[r, c] = dy[r, c] - np.exp(y[r, c]) * total


@log_softmax_grad.numpy
def _(y, dy):
    dx = np.exp(y)
    dx *= row_sum(dy)
    return np.subtract(dy, dx, out=dx)


@log_softmax_grad.add("tuned", when=large)
def _(y, dy):
    return by_rows(rowwise.log_softmax_grad, y, dy)
