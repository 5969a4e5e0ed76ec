"""Batch norm over the rows of float32 matrices, some columns at a time.

    x̂ = (x − mean) · s,   s = 1 / √(var + ε),   y = x̂ w + b
    db = Σ_r dy,   dw = Σ_r dy x̂,   dx = w s (dy − (db + x̂ dw) / R)

Every pass goes along the rows, so that columns are done a vector register at a time. Long sums are
sums of shorter ones (STRETCH rows each), so that many rows cost no digits.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel
from descent.ops.vectormath import ONE, ZERO

__all__ = ["batch_norm", "batch_norm_grad"]

STRETCH = 128  # rows added up before their sum joins the others


def clear(a, first, last):
    for c in range(first, last):
        a[c] = ZERO


def collect(total, part, first, last):
    """total += part, and part begins anew."""
    for c in range(first, last):
        total[c] += part[c]
        part[c] = ZERO


@kernel(reorder=True)
def batch_norm(first, last, x, w, b, y, mean, var, eps):
    first, last = np.uint64(first), np.uint64(last)  # unsigned: an index that is never negative
    share, part = ONE / np.float32(x.shape[0]), np.empty(x.shape[1], np.float32)
    for sums in (part, mean, var):
        clear(sums, first, last)
    for top in range(0, x.shape[0], STRETCH):
        for r in range(top, min(top + STRETCH, x.shape[0])):
            for c in range(first, last):
                part[c] += x[r, c]
        collect(mean, part, first, last)
    for c in range(first, last):
        mean[c] *= share
    for top in range(0, x.shape[0], STRETCH):
        for r in range(top, min(top + STRETCH, x.shape[0])):
            for c in range(first, last):
                part[c] += (x[r, c] - mean[c]) * (x[r, c] - mean[c])
        collect(var, part, first, last)
    for c in range(first, last):
        var[c] *= share
        part[c] = w[c] / np.sqrt(var[c] + eps)
    for r in range(x.shape[0]):
        for c in range(first, last):
            y[r, c] = (x[r, c] - mean[c]) * part[c] + b[c]


@kernel(reorder=True)
def batch_norm_grad(first, last, x, w, mean, var, dy, dx, dw, db, eps):
    first, last = np.uint64(first), np.uint64(last)
    share = ONE / np.float32(x.shape[0])
    part, other = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    for sums in (part, other, dw, db):
        clear(sums, first, last)
    for top in range(0, x.shape[0], STRETCH):
        for r in range(top, min(top + STRETCH, x.shape[0])):
            for c in range(first, last):
                part[c] += dy[r, c]
                other[c] += dy[r, c] * (x[r, c] - mean[c])
        collect(db, part, first, last)
        collect(dw, other, first, last)
    for c in range(first, last):
        s = ONE / np.sqrt(var[c] + eps)
        dw[c] *= s
        part[c], other[c] = w[c] * s, dw[c] * s * share
    for r in range(x.shape[0]):
        for c in range(first, last):
            g = dy[r, c] - db[c] * share
            dx[r, c] = part[c] * (g - (x[r, c] - mean[c]) * other[c])
