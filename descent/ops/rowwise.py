"""Row kernels for float32: the loops of softmax, cross entropy and norms on some rows of a matrix.

Each function does rows of contiguous matrices and writes what the declared loops of the same name
write; sums run in vector lanes (hence `reorder`). A compiled step calls them on its share of the
rows. `…_columns` functions add up over all rows for columns first … last: gradients of weights.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel
from descent.ops.vectormath import ONE, ZERO, exp32

__all__ = [
    "amax", "cross_entropy", "cross_entropy_grad", "cross_entropy_grad_in_place",
    "cross_entropy_in_place", "largest", "layer_norm_columns",
    "layer_norm_dx", "log_softmax", "log_softmax_grad", "rms_norm", "rms_norm_columns",
    "rms_norm_dx", "softmax", "softmax_grad", "totals",
]  # fmt: skip

STRETCH = 4096  # numbers of a row added up in float32


def largest(row):
    """The largest number of a row, NaN if that is among them.

    By their bits, as whole numbers: those a compiler compares a vector at a time (of floats it
    would have to know that none is NaN).
    """
    top = np.int32(-0x80000000)
    for c in range(row.size):
        bits = np.float32(row[c]).view(np.int32)
        top = max(top, np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF)))  # in the order of the floats
    return np.int32(top ^ ((top >> 31) & 0x7FFFFFFF)).view(np.float32)


@kernel
def amax(x, y):
    for r in range(x.shape[0]):
        y[r] = largest(x[r])


@kernel(reorder=True)
def totals(x, y):
    """The sum of every row: float32 in lanes for a stretch, stretches in float64."""
    for r in range(x.shape[0]):
        total = 0.0
        for start in range(0, x.shape[1], STRETCH):
            stretch, part = x[r, start : start + STRETCH], ZERO
            for c in range(stretch.size):
                part += stretch[c]
            total += part
        y[r] = total


@kernel(reorder=True)
def softmax(x, y):
    for r in range(x.shape[0]):
        m, total = largest(x[r]), ZERO
        for c in range(x.shape[1]):
            v = exp32(x[r, c] - m)
            y[r, c] = v
            total += v
        scale = ONE / total
        for c in range(x.shape[1]):
            y[r, c] *= scale


@kernel(reorder=True)
def softmax_grad(y, dy, dx):
    for r in range(y.shape[0]):
        dot = ZERO
        for c in range(y.shape[1]):
            dot += dy[r, c] * y[r, c]
        for c in range(y.shape[1]):
            dx[r, c] = y[r, c] * (dy[r, c] - dot)


@kernel(reorder=True)
def log_softmax(x, y):
    for r in range(x.shape[0]):
        m, total = largest(x[r]), ZERO
        for c in range(x.shape[1]):
            total += exp32(x[r, c] - m)
        shift = m + np.log(total)
        for c in range(x.shape[1]):
            y[r, c] = x[r, c] - shift


@kernel(reorder=True)
def log_softmax_grad(y, dy, dx):
    for r in range(y.shape[0]):
        total = ZERO
        for c in range(y.shape[1]):
            total += dy[r, c]
        for c in range(y.shape[1]):
            dx[r, c] = dy[r, c] - exp32(y[r, c]) * total


@kernel(reorder=True)
def cross_entropy(x, target, y, e, total):
    """A negative target is a row that does not count; one beyond the classes gives NaN."""
    for r in range(x.shape[0]):
        m, s = largest(x[r]), ZERO
        for c in range(x.shape[1]):
            v = exp32(x[r, c] - m)
            e[r, c] = v
            s += v
        total[r] = s
        t = target[r]
        inside = 0 <= t < x.shape[1]
        y[r] = np.log(s) - (x[r, t] - m) if inside else ZERO if t < 0 else np.float32(np.nan)


@kernel
def cross_entropy_grad(target, e, total, dy, dx):
    for r in range(e.shape[0]):
        t = target[r]
        g = dy[r] if t >= 0 else ZERO
        scale = g / total[r]
        for c in range(e.shape[1]):
            dx[r, c] = e[r, c] * scale
        if 0 <= t < e.shape[1]:
            dx[r, t] -= g


@kernel(reorder=True)
def cross_entropy_in_place(x, target, y, total):
    """cross_entropy with e written over x: scores of a large vocabulary are kept once."""
    for r in range(x.shape[0]):
        m, s, t = largest(x[r]), ZERO, target[r]
        inside = 0 <= t < x.shape[1]
        right = x[r, t] if inside else ZERO
        for c in range(x.shape[1]):
            v = exp32(x[r, c] - m)
            x[r, c] = v
            s += v
        total[r] = s
        y[r] = np.log(s) - (right - m) if inside else ZERO if t < 0 else np.float32(np.nan)


@kernel
def cross_entropy_grad_in_place(target, e, total, dy):
    """cross_entropy_grad with dx written over e."""
    for r in range(e.shape[0]):
        t = target[r]
        g = dy[r] if t >= 0 else ZERO
        scale = g / total[r]
        for c in range(e.shape[1]):
            e[r, c] *= scale
        if 0 <= t < e.shape[1]:
            e[r, t] -= g


@kernel(reorder=True)
def layer_norm_dx(x, w, mean, rstd, dy, dx):
    scale = ONE / np.float32(x.shape[1])
    for r in range(x.shape[0]):
        m, s = mean[r], rstd[r]
        total, dot = ZERO, ZERO
        for c in range(x.shape[1]):
            g = dy[r, c] * w[c]
            total += g
            dot += g * (x[r, c] - m)
        total, dot = total * scale, dot * scale * s * s
        for c in range(x.shape[1]):
            dx[r, c] = s * (dy[r, c] * w[c] - total - (x[r, c] - m) * dot)


@kernel(reorder=True)
def layer_norm_columns(first, last, x, mean, rstd, dy, dw, db):
    dw, db = dw[first:last], db[first:last]
    for c in range(dw.size):
        dw[c], db[c] = ZERO, ZERO
    for r in range(x.shape[0]):
        m, s = mean[r], rstd[r]
        xr, dyr = x[r, first:last], dy[r, first:last]
        for c in range(dw.size):
            dw[c] += dyr[c] * ((xr[c] - m) * s)
            db[c] += dyr[c]


@kernel(reorder=True)
def rms_norm(x, w, y, rstd, eps):
    scale = ONE / np.float32(x.shape[1])
    for r in range(x.shape[0]):
        square = ZERO
        for c in range(x.shape[1]):
            square += x[r, c] * x[r, c]
        s = ONE / np.sqrt(square * scale + eps)
        for c in range(x.shape[1]):
            y[r, c] = x[r, c] * s * w[c]
        rstd[r] = s


@kernel(reorder=True)
def rms_norm_dx(x, w, rstd, dy, dx):
    scale = ONE / np.float32(x.shape[1])
    for r in range(x.shape[0]):
        s, dot = rstd[r], ZERO
        for c in range(x.shape[1]):
            dot += dy[r, c] * w[c] * x[r, c]
        dot = dot * scale * s * s
        for c in range(x.shape[1]):
            dx[r, c] = s * (dy[r, c] * w[c] - x[r, c] * dot)


@kernel(reorder=True)
def rms_norm_columns(first, last, x, rstd, dy, dw):
    dw = dw[first:last]
    for c in range(dw.size):
        dw[c] = ZERO
    for r in range(x.shape[0]):
        s = rstd[r]
        xr, dyr = x[r, first:last], dy[r, first:last]
        for c in range(dw.size):
            dw[c] += dyr[c] * xr[c] * s
