"""Normalisation: rows brought to mean 0 and variance 1, then scaled and shifted.

    layer norm   x̂ = (x − mean x) · rstd,   rstd = 1 / √(var x + ε),   y = x̂ w + b
    RMS norm     y = x w / √(mean x² + ε)
    batch norm   as layer norm, with mean and variance of each column over the rows (in training)

    g = dy w:    dx = rstd (g − mean g − x̂ mean(g x̂)),   dw = Σ_r dy x̂,   db = Σ_r dy

Ba, Kiros, Hinton 2016, arXiv:1607.06450; Zhang, Sennrich 2019, arXiv:1910.07467;
Ioffe, Szegedy 2015, arXiv:1502.03167. The variance is the biased one, as in the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from descent.kernel import kernel, prange
from descent.op import Rows, op
from descent.ops import columnwise, rowwise
from descent.ops.blocks import large, over_rows
from descent.ops.vectormath import ONE, ZERO
from descent.threads import n_threads, share, slabs

__all__ = ["batch_norm", "layer_norm", "rms_norm"]

SLAB = 65_536  # elements a thread takes at least


@op("r [c], [c], [c] -> r [c], r, r", lower=Rows(), flops=lambda r, c: 8 * r * c)
def layer_norm(x, w, b, y, mean, rstd, eps):
    """Every row to mean 0 and variance 1, times w, plus b."""
    for r in prange(x.shape[0]):
        total = x[r, 0]
        for c in range(1, x.shape[1]):
            total += x[r, c]
        m = total / x.shape[1]
        square = (x[r, 0] - m) * (x[r, 0] - m)
        for c in range(1, x.shape[1]):
            square += (x[r, c] - m) * (x[r, c] - m)
        s = 1 / np.sqrt(square / x.shape[1] + eps)
        for c in range(x.shape[1]):
            y[r, c] = (x[r, c] - m) * s * w[c] + b[c]
        mean[r] = m
        rstd[r] = s


def centred(x: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x̂ in memory of its own, and the mean and reciprocal standard deviation of every row."""
    n = x.dtype.type(x.shape[1])
    mean = np.einsum("rc->r", x) / n
    y = x - mean[:, None]
    rstd = 1 / np.sqrt(np.einsum("rc,rc->r", y, y) / n + x.dtype.type(eps))
    y *= rstd[:, None]
    return y, mean, rstd


@layer_norm.numpy
def _(x, w, b, eps):
    y, mean, rstd = centred(x, eps)
    y *= w
    y += b
    return y, mean, rstd


@layer_norm.grad
def layer_norm_grad(x, w, mean, rstd, dy, dx, dw, db):
    for c in range(x.shape[1]):
        dw[c] = 0 * w[c]
        db[c] = 0 * w[c]
    for r in range(x.shape[0]):
        total = 0 * dy[r, 0]
        dot = 0 * dy[r, 0]
        for c in range(x.shape[1]):
            normal = (x[r, c] - mean[r]) * rstd[r]
            dw[c] += dy[r, c] * normal
            db[c] += dy[r, c]
            total += dy[r, c] * w[c]
            dot += dy[r, c] * w[c] * normal
        for c in range(x.shape[1]):
            normal = (x[r, c] - mean[r]) * rstd[r]
            dx[r, c] = rstd[r] * (dy[r, c] * w[c] - (total + normal * dot) / x.shape[1])


@layer_norm_grad.numpy
def _(x, w, mean, rstd, dy):
    n = x.dtype.type(x.shape[1])
    normal = x - mean[:, None]
    normal *= rstd[:, None]
    dw = np.einsum("rc,rc->c", dy, normal)
    db = dy.sum(0)
    dx = dy * w
    total = np.einsum("rc->r", dx) / n
    dot = np.einsum("rc,rc->r", dx, normal) / n
    normal *= dot[:, None]
    dx -= normal
    dx -= total[:, None]
    dx *= rstd[:, None]
    return dx, dw, db


@kernel(reorder=True)
def layer_norm_rows(x, w, b, y, mean, rstd, eps):
    """layer_norm of some rows, float32; sums in vector lanes."""
    scale = ONE / np.float32(x.shape[1])
    for r in range(x.shape[0]):
        total = ZERO
        for c in range(x.shape[1]):
            total += x[r, c]
        m = total * scale
        square = ZERO
        for c in range(x.shape[1]):
            square += (x[r, c] - m) * (x[r, c] - m)
        s = ONE / np.sqrt(square * scale + eps)
        for c in range(x.shape[1]):
            y[r, c] = (x[r, c] - m) * s * w[c] + b[c]
        mean[r] = m
        rstd[r] = s


@layer_norm.ladder.add("tuned", when=large)
def _(x, w, b, eps):
    x = np.ascontiguousarray(x)
    y, mean, rstd = np.empty_like(x), np.empty(len(x), x.dtype), np.empty(len(x), x.dtype)
    e = x.dtype.type(eps)
    over_rows(
        lambda s: layer_norm_rows(x[s], w, b, y[s], mean[s], rstd[s], e),
        len(x),
        1 + SLAB // x.shape[1],
    )
    return y, mean, rstd


@kernel(reorder=True)
def layer_norm_grad_rows(x, w, mean, rstd, dy, dx, dw, db):
    """The gradient on some rows, float32; dw and db are these rows' share."""
    scale = ONE / np.float32(x.shape[1])
    for c in range(x.shape[1]):
        dw[c] = ZERO
        db[c] = ZERO
    for r in range(x.shape[0]):
        m, s = mean[r], rstd[r]
        total, dot = ZERO, ZERO
        for c in range(x.shape[1]):
            normal = (x[r, c] - m) * s
            g = dy[r, c] * w[c]
            dw[c] += dy[r, c] * normal
            db[c] += dy[r, c]
            total += g
            dot += g * normal
        total, dot = total * scale, dot * scale
        for c in range(x.shape[1]):
            normal = (x[r, c] - m) * s
            dx[r, c] = s * (dy[r, c] * w[c] - total - normal * dot)


@layer_norm_grad.add("tuned", when=large)
def _(x, w, mean, rstd, dy):
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    dx = np.empty_like(x)
    parts = slabs(len(x), 1 + SLAB // x.shape[1])
    dw, db = np.empty((2, len(parts), x.shape[1]), x.dtype)
    share(
        [
            partial(layer_norm_grad_rows, x[s], w, mean[s], rstd[s], dy[s], dx[s], dw[i], db[i])
            for i, s in enumerate(parts)
        ]
    )
    return dx, dw.sum(0), db.sum(0)


@op("r [c], [c] -> r [c], r", lower=Rows(), flops=lambda r, c: 5 * r * c)
def rms_norm(x, w, y, rstd, eps):
    """Every row divided by its root mean square, times w."""
    for r in prange(x.shape[0]):
        square = x[r, 0] * x[r, 0]
        for c in range(1, x.shape[1]):
            square += x[r, c] * x[r, c]
        s = 1 / np.sqrt(square / x.shape[1] + eps)
        for c in range(x.shape[1]):
            y[r, c] = x[r, c] * s * w[c]
        rstd[r] = s


@rms_norm.numpy
def _(x, w, eps):
    n, dtype = x.shape[1], x.dtype.type
    rstd = 1 / np.sqrt(np.einsum("rc,rc->r", x, x) / dtype(n) + dtype(eps))
    y = x * rstd[:, None]
    y *= w
    return y, rstd


@rms_norm.ladder.add("tuned", when=large)
def _(x, w, eps):
    x = np.ascontiguousarray(x)
    y, rstd, e = np.empty_like(x), np.empty(len(x), x.dtype), x.dtype.type(eps)
    over_rows(lambda s: rowwise.rms_norm(x[s], w, y[s], rstd[s], e), len(x), 1 + SLAB // x.shape[1])
    return y, rstd


@rms_norm.grad
def rms_norm_grad(x, w, rstd, dy, dx, dw):
    for c in range(x.shape[1]):
        dw[c] = 0 * w[c]
    for r in range(x.shape[0]):
        dot = 0 * dy[r, 0]
        for c in range(x.shape[1]):
            normal = x[r, c] * rstd[r]
            dw[c] += dy[r, c] * normal
            dot += dy[r, c] * w[c] * normal
        for c in range(x.shape[1]):
            normal = x[r, c] * rstd[r]
            dx[r, c] = rstd[r] * (dy[r, c] * w[c] - normal * dot / x.shape[1])


@rms_norm_grad.numpy
def _(x, w, rstd, dy):
    normal = x * rstd[:, None]
    dw = np.einsum("rc,rc->c", dy, normal)
    dx = dy * w
    dot = np.einsum("rc,rc->r", dx, normal) / x.dtype.type(x.shape[1])
    normal *= dot[:, None]
    dx -= normal
    dx *= rstd[:, None]
    return dx, dw


@rms_norm_grad.add("tuned", when=large)
def _(x, w, rstd, dy):
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    dx, dw = np.empty_like(x), np.empty_like(w)
    rows, columns = slabs(len(x), 1 + SLAB // x.shape[1]), slabs(len(w), 1 + SLAB // len(x))
    share(
        [partial(rowwise.rms_norm_dx, x[s], w, rstd[s], dy[s], dx[s]) for s in rows]
        + [partial(rowwise.rms_norm_columns, s.start, s.stop, x, rstd, dy, dw) for s in columns]
    )
    return dx, dw


@op("[r] c, c, c -> [r] c, c, c", lower=Rows(), visible=3, flops=lambda r, c: 8 * r * c)
def batch_norm(x, w, b, y, mean, var, eps):
    """Every column (channel) to mean 0 and variance 1 over the rows, times w, plus b."""
    for c in prange(x.shape[1]):
        total = x[0, c]
        for r in range(1, x.shape[0]):
            total += x[r, c]
        m = total / x.shape[0]
        square = (x[0, c] - m) * (x[0, c] - m)
        for r in range(1, x.shape[0]):
            square += (x[r, c] - m) * (x[r, c] - m)
        v = square / x.shape[0]
        s = 1 / np.sqrt(v + eps)
        for r in range(x.shape[0]):
            y[r, c] = (x[r, c] - m) * s * w[c] + b[c]
        mean[c] = m
        var[c] = v


@batch_norm.numpy
def _(x, w, b, eps):
    n, dtype = x.shape[0], x.dtype.type
    mean = x.sum(0) / dtype(n)
    y = x - mean
    var = np.einsum("rc,rc->c", y, y) / dtype(n)
    y *= w / np.sqrt(var + dtype(eps))
    y += b
    return y, mean, var


def by_columns(columns: Callable[[int, int], object], width: int) -> None:
    """`columns(first, last)` for all columns: each thread its share, in one go along the rows."""
    parts = max(1, min(n_threads(), width // 32))
    edges = [width * i // parts // 16 * 16 for i in range(parts)] + [width]
    share([partial(columns, i, j) for i, j in pairwise(edges)])


@batch_norm.ladder.add("tuned", when=large)
def _(x, w, b, eps):
    x, e = np.ascontiguousarray(x), x.dtype.type(eps)
    y, (mean, var) = np.empty_like(x), np.empty((2, x.shape[1]), x.dtype)
    by_columns(lambda i, j: columnwise.batch_norm(i, j, x, w, b, y, mean, var, e), x.shape[1])
    return y, mean, var


@batch_norm.grad
def batch_norm_grad(x, w, mean, var, dy, dx, dw, db, eps):
    for c in prange(x.shape[1]):
        s = 1 / np.sqrt(var[c] + eps)
        total = 0 * dy[0, c]
        dot = 0 * dy[0, c]
        for r in range(x.shape[0]):
            total += dy[r, c]
            dot += dy[r, c] * (x[r, c] - mean[c]) * s
        dw[c] = dot
        db[c] = total
        for r in range(x.shape[0]):
            normal = (x[r, c] - mean[c]) * s
            dx[r, c] = w[c] * s * (dy[r, c] - (total + normal * dot) / x.shape[0])


@batch_norm_grad.numpy
def _(x, w, mean, var, dy, eps):
    n, dtype = x.dtype.type(x.shape[0]), x.dtype.type
    s = 1 / np.sqrt(var + dtype(eps))
    dx = x - mean
    dx *= s
    dw = np.einsum("rc,rc->c", dy, dx)
    db = dy.sum(0)
    dx *= -dw / n
    dx += dy
    dx -= db / n
    dx *= w * s
    return dx, dw, db


@batch_norm_grad.add("tuned", when=large)
def _(x, w, mean, var, dy, eps):
    x, dy, e = np.ascontiguousarray(x), np.ascontiguousarray(dy), x.dtype.type(eps)
    dx, (dw, db) = np.empty_like(x), np.empty((2, x.shape[1]), x.dtype)
    by_columns(
        lambda i, j: columnwise.batch_norm_grad(i, j, x, w, mean, var, dy, dx, dw, db, e),
        x.shape[1],
    )
    return dx, dw, db
