"""Attention on register tiles, a batch entry (one head of one sequence) at a time. float32.

    p = softmax(s q kᵀ) over the visible keys,   y = p v
    dv = pᵀ dy,   g = s p (dy vᵀ − Σ p dy vᵀ),   dq = g k,   dk = gᵀ q

The same sums as the loops of `descent.ops.attending`, as products of `descent.ops.tiles`: k, v, q
and dy of one entry are packed into panels that stay in the first cache. Of a causal score matrix
only the tiles that hold visible keys are computed. Flat arrays; [T, S] scores take T·S numbers.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel
from descent.ops.rowwise import largest
from descent.ops.tiles import PLAIN, WIDTH, pack, panels_size, product
from descent.ops.vectormath import ONE, ZERO, exp32

__all__ = ["attend", "attend_grad"]

BAND = 28  # rows of scores done together: two tiles


@kernel(reorder=True)
def softmax_band(p, limit, first, last, s, scale):
    """Rows first … last of scores p [·, s]: scaled softmax of the first limit[i], the rest 0."""
    for i in range(first, last):
        n, row = limit[i], p[i * s : i * s + s]
        m = largest(row[:n])
        total = ZERO
        for j in range(n):
            e = exp32((row[j] - m) * scale)
            row[j] = e
            total += e
        part = ONE / total
        for j in range(n):
            row[j] *= part
        for j in range(n, s):
            row[j] = ZERO


@kernel(reorder=True)
def softmax_band_grad(g, p, limit, first, last, s, scale):
    """g ← scale · p (g − Σ g p) over the visible keys, the rest 0."""
    for i in range(first, last):
        n, row, weights = limit[i], g[i * s : i * s + s], p[i * s : i * s + s]
        dot = ZERO
        for j in range(n):
            dot += row[j] * weights[j]
        for j in range(n):
            row[j] = scale * weights[j] * (row[j] - dot)
        for j in range(n, s):
            row[j] = ZERO


@kernel
def attend(first, last, q, k, v, limit, y, p, t, s, d, e, scale):
    """y and p of entries first … last: q [t, d], k [s, d], v [s, e], y [t, e], p [t, s] each."""
    keys = np.empty(panels_size(d, s), np.float32)
    values = np.empty(panels_size(s, e), np.float32)
    for b in range(first, last):
        qb, kb, vb = q[b * t * d :], k[b * s * d :], v[b * s * e :]
        yb, pb = y[b * t * e :], p[b * t * s : (b + 1) * t * s]
        pack(kb, 1, d, d, s, keys, 0, (s + WIDTH - 1) // WIDTH)
        pack(vb, e, 1, s, e, values, 0, (e + WIDTH - 1) // WIDTH)
        for top in range(0, t, BAND):
            low = min(top + BAND, t)
            seen = 0
            for i in range(top, low):
                seen = max(seen, limit[i])
            panels = (seen + WIDTH - 1) // WIDTH
            product(qb, d, 1, keys, d, s, pb, s, top, low, 0, panels, PLAIN, qb)
            softmax_band(pb, limit, top, low, s, scale)
        product(pb, s, 1, values, s, e, yb, e, 0, t, 0, (e + WIDTH - 1) // WIDTH, PLAIN, pb)


@kernel
def attend_grad(first, last, q, k, v, limit, p, dy, dq, dk, dv, t, s, d, e, scale):
    """dq, dk and dv of entries first … last; shapes as in `attend`."""
    g = np.empty(t * s, np.float32)
    values = np.empty(panels_size(e, s), np.float32)
    panels = np.empty(max(panels_size(t, e), panels_size(t, d), panels_size(s, d)), np.float32)
    of_e, of_d = (e + WIDTH - 1) // WIDTH, (d + WIDTH - 1) // WIDTH
    for b in range(first, last):
        qb, kb, vb = q[b * t * d :], k[b * s * d :], v[b * s * e :]
        dyb, pb = dy[b * t * e :], p[b * t * s : (b + 1) * t * s]
        pack(dyb, e, 1, t, e, panels, 0, of_e)
        product(pb, 1, s, panels, t, e, dv[b * s * e :], e, 0, s, 0, of_e, PLAIN, pb)
        pack(vb, 1, e, e, s, values, 0, (s + WIDTH - 1) // WIDTH)
        for top in range(0, t, BAND):
            low = min(top + BAND, t)
            seen = 0
            for i in range(top, low):
                seen = max(seen, limit[i])
            product(
                dyb, e, 1, values, e, s, g, s, top, low, 0, (seen + WIDTH - 1) // WIDTH, PLAIN, g
            )
            softmax_band_grad(g, pb, limit, top, low, s, scale)
        pack(kb, d, 1, s, d, panels, 0, of_d)
        product(g, s, 1, panels, s, d, dq[b * t * d :], d, 0, t, 0, of_d, PLAIN, g)
        pack(qb, d, 1, t, d, panels, 0, of_d)
        product(g, 1, s, panels, t, d, dk[b * s * d :], d, 0, s, 0, of_d, PLAIN, g)
