"""Attention without its T × S matrix, in squares of 16 queries and 16 keys. float32.

    sᵀ = k · (scale q)ᵀ,   p = exp(s − lse),   lse = max + log Σ exp(s − max),   y = p v
    dv = pᵀ dy,   g = scale p (dy vᵀ − Σ dy y),   dq = g k,   dk = gᵀ q

The same sums as the loops of `descent.ops.attending`. A square is kept key by key with its queries
in the 16 lanes, so that maximum, exponential and sum of a query never cross lanes: they are those
of whole registers. Forward, the scores of 256 keys are held at a time, and what was summed before
is put in units of the new maximum (arXiv:1805.02867). Backward, p is made again from `lse`
(arXiv:2205.14135), for 64 queries and 64 keys at a time. Squares that no query sees are skipped.

Every product reads its operands where they lie; of q and dy alone a copy is turned over. Arrays are
flat, one batch entry (one head of one sequence) after the other.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel, lanes, registers
from descent.ops.vectormath import ONE, ZERO, exp32, log32

__all__ = ["attend", "attend_grad"]

SIDE = lanes.COUNT
AHEAD = 256  # keys whose scores are held at a time, forward
BAND, KEYS = 64, 64  # queries and keys at a time, backward
LOWEST = np.float32(-np.inf)


def up(n):
    """n, or the next multiple of 16."""
    return (n + SIDE - 1) // SIDE * SIDE


def turn(x, at, n, scale, turned, to):
    """turned[to + 16 p + i] = scale · x[at + i·n + p] for 16 rows i of n numbers p."""
    factor = lanes.fill(scale)
    for p in range(0, n, SIDE):
        lanes.transpose(x, at + p, n, turned, to + p * SIDE, SIDE)
    for p in range(to, to + n * SIDE, SIDE):
        lanes.store(turned, p, lanes.load(turned, p) * factor)


def summed(block, a, i, row, col, n, b, j, step):
    """block[r, c] + Σ_p a[i + r·row + p·col] · b[j + p·step + c], n terms."""
    for p in range(n):
        block = registers.outer(block, a, i + p * col, row, b, j + p * step)
    return block


def scores(a, i, n, b, j, bias, bias_at, y, at):
    """y[at + 16 r + c] = Σ_p a[i + r·n + p] · b[j + 16 p + c] + bias[c]: keys r, queries c."""
    block = registers.zeros(registers.shape(16, 1), y)
    block = registers.add_row(block, bias, bias_at, SIDE)
    block = summed(block, a, i, n, 1, n, b, j, SIDE)
    registers.write(block, y, at, SIDE, 0, SIDE)


def sums_so_far(y, at, row, more):
    """The 16 × 16 numbers at y[at + r·row + c] if there are any yet, else zeros."""
    block = registers.zeros(registers.shape(16, 1), y)
    if more:
        block = registers.add(block, y, at, row, 0, SIDE)
    return block


def hide(x, at, limit, i, key, instead):
    """In a square, the numbers of keys that a query does not see become `instead`."""
    last, nothing = lanes.load(limit, i), lanes.fill(instead)
    for r in range(SIDE):
        here, now = lanes.fill(np.float32(key + r)), lanes.load(x, at + r * SIDE)
        lanes.store(x, at + r * SIDE, lanes.where_less(here, last, now, nothing))


def scale_rows(y, at, n, factors):
    """y[at + r·n + c] *= factors[r] for 16 rows of n numbers."""
    for r in range(SIDE):
        factor = lanes.splat(factors, r)
        for c in range(at + r * n, at + r * n + n, SIDE):
            lanes.store(y, c, lanes.load(y, c) * factor)


def seen_by(limit, i):
    """The most and the fewest keys that one of queries i … i + 15 sees."""
    most, fewest = limit[i], limit[i]
    for r in range(1, SIDE):
        most, fewest = max(most, limit[i + r]), min(fewest, limit[i + r])
    return int(most), int(fewest)


@kernel(apart="fifififififiiiffff")
def attend_some(q, q_at, k, k_at, v, v_at, limit, i, y, y_at, lse, n, d, e, scale, turned, p, one):
    """y and lse[n …] of 16 queries, i … i + 15 of their entry; one[16], one[32]: room for sums."""
    seen, always = seen_by(limit, i)
    turn(q, q_at, d, scale[0], turned, 0)
    highest, total, zeros = lanes.fill(LOWEST), lanes.zeros(), lanes.zeros()
    lanes.store(one, SIDE, zeros)
    for start in range(0, seen, AHEAD):
        keys = up(min(start + AHEAD, seen) - start)
        before = highest
        for j in range(0, keys, SIDE):
            scores(k, k_at + (start + j) * d, d, turned, 0, one, SIDE, p, j * SIDE)
            if start + j + SIDE > always:
                hide(p, j * SIDE, limit, i, start + j, LOWEST)
            for m in range(j * SIDE, (j + SIDE) * SIDE, SIDE):
                highest = lanes.maximum(highest, lanes.load(p, m))
        for m in range(0, keys * SIDE, SIDE):
            lanes.store(p, m, lanes.load(p, m) - highest)
        for m in range(keys * SIDE):
            p[m] = exp32(p[m])
        part = zeros
        for m in range(0, keys * SIDE, SIDE):
            part = part + lanes.load(p, m)
        if start > 0:  # what was summed so far, in units of the new maximum
            lanes.store(one, 0, before - highest)
            for m in range(SIDE):
                one[m] = exp32(one[m])
            part = lanes.fma(total, lanes.load(one, 0), part)
            scale_rows(y, y_at, e, one)
        total = part
        for c in range(0, e, SIDE):
            block = sums_so_far(y, y_at + c, e, start > 0)
            block = summed(block, p, 0, 1, SIDE, keys, v, v_at + start * e + c, e)
            registers.write(block, y, y_at + c, e, 0, SIDE)
    lanes.store(one, 0, total)
    for m in range(SIDE):
        one[SIDE + m] = log32(one[m])
        one[m] = ONE / one[m]
    lanes.store(lse, n, lanes.load(one, SIDE) + highest)
    scale_rows(y, y_at, e, one)


@kernel(apart="fififififififfffiiiiiffffffff")
def attend_band_grad(
    q, q_at, k, k_at, v, v_at, limit, i, y, y_at, lse, n, dy, dq, dk, dv, band, more, s, d, e,
    scale, turned, dturned, p, g, less, dot, seen,
):  # fmt: skip
    """Gradients of `band` queries, i … of their entry; more: dk and dv hold sums of others."""
    zeros, most, factor = lanes.zeros(), 0, scale[0]
    for h in range(0, band, SIDE):
        turn(q, q_at + h * d, d, factor, turned, h * d)
        turn(dy, y_at + h * e, e, ONE, dturned, h * e)
        lanes.store(less, h, zeros - lanes.load(lse, n + h))
        here, always = seen_by(limit, i + h)
        seen[h], seen[h + 1] = here, always
        most = max(most, here)
    for r in range(band):
        part = zeros
        for c in range(y_at + r * e, y_at + r * e + e, SIDE):
            part = lanes.fma(lanes.load(y, c), lanes.load(dy, c), part)
        dot[r] = -lanes.total(part)
    for start in range(0, most if more else s, KEYS):
        stop = min(start + KEYS, s)
        for h in range(0, band, SIDE):
            keys = max(0, up(min(stop, int(seen[h])) - start))
            for j in range(0, keys, SIDE):
                at, key = h * KEYS + j * SIDE, start + j
                scores(k, k_at + key * d, d, turned, h * d, less, h, p, at)
                scores(v, v_at + key * e, e, dturned, h * e, dot, h, g, at)
                if key + SIDE > seen[h + 1]:
                    hide(p, at, limit, i + h, key, LOWEST)
                    hide(g, at, limit, i + h, key, ZERO)
            for m in range(np.uint64(h * KEYS), np.uint64(h * KEYS + keys * SIDE)):
                w = exp32(p[m])
                p[m] = w
                g[m] = factor * w * g[m]
            for c in range(0, d, SIDE):
                block = sums_so_far(dq, q_at + h * d + c, d, start > 0)
                block = summed(block, g, h * KEYS, 1, SIDE, keys, k, k_at + start * d + c, d)
                registers.write(block, dq, q_at + h * d + c, d, 0, SIDE)
        for key in range(start, stop, SIDE):
            at = (key - start) * SIDE
            by_key(p, at, dy, y_at, dv, v_at + key * e, e, key, band, seen, more)
            by_key(g, at, q, q_at, dk, k_at + key * d, d, key, band, seen, more)


def by_key(p, at, x, x_at, y, y_at, n, key, band, seen, more):
    """y[y_at + j·n + c] (+)= Σ_i p[i, j] · x[x_at + i·n + c]: 16 keys j, a band's queries i."""
    for c in range(0, n, SIDE):
        block = sums_so_far(y, y_at + c, n, more)
        for h in range(0, band, SIDE):
            if seen[h] > key:
                block = summed(block, p, h * KEYS + at, SIDE, 1, SIDE, x, x_at + h * n + c, n)
        registers.write(block, y, y_at + c, n, 0, SIDE)


def pad(x, at, rows, n, y, y_rows, y_n):
    """y, y_rows × y_n, becomes the rows × n numbers at x[at] and zeros."""
    for i in range(y_rows * y_n):
        y[i] = ZERO
    for i in range(rows):
        for c in range(n):
            y[i * y_n + c] = x[at + i * n + c]


def cut(y, y_n, rows, n, x, at):
    """The rows × n numbers at x[at] become those of y, whose rows are y_n long."""
    for i in range(rows):
        for c in range(n):
            x[at + i * n + c] = y[i * y_n + c]


@kernel
def room(n):
    """Room for n numbers, beginning where a line of the cache does: no read then takes two."""
    x = np.empty(n + SIDE, np.float32)
    return x[-(x.ctypes.data >> 2) & (SIDE - 1) :]


@kernel
def limits(limit, t):
    """Keys that each query sees, as float32; queries beyond the last see what it does."""
    found = room(t)
    for i in range(t):
        found[i] = limit[min(i, limit.size - 1)]
    return found


@kernel
def attend(first, last, q, k, v, limit, y, lse, t, s, d, e, scale):
    """y [t, e] and lse [t] of entries first … last: q [t, d], k [s, d], v [s, e].

    Sizes that are no multiples of 16 are made so in a copy of each entry.
    """
    T, S, D, E = up(t), up(s), up(d), up(e)
    whole = T == t and S == s and D == d and E == e
    turned, p = room(D * SIDE), room(min(AHEAD, S) * SIDE)
    one, seen = room(2 * SIDE), limits(limit, T)
    factor = np.full(1, scale, np.float32)
    qs, ks, vs, ys, ls = q, k, v, y, lse
    if not whole:
        qs, ks, vs = (
            room(T * D), room(S * D), room(S * E),
        )  # fmt: skip
        ys, ls = room(T * E), room(T)
    for b in range(first, last):
        if not whole:
            pad(q, b * t * d, t, d, qs, T, D)
            pad(k, b * s * d, s, d, ks, S, D)
            pad(v, b * s * e, s, e, vs, S, E)
        h = b if whole else 0
        for i in range(0, T, SIDE):
            n = h * T + i
            attend_some(
                qs, n * D, ks, h * S * D, vs, h * S * E, seen, i, ys, n * E, ls, n, D, E, factor,
                turned, p, one,
            )  # fmt: skip
        if not whole:
            cut(ys, E, t, e, y, b * t * e)
            cut(ls, 1, t, 1, lse, b * t)


@kernel
def attend_grad(first, last, q, k, v, limit, y, lse, dy, dq, dk, dv, t, s, d, e, scale):
    """dq, dk and dv of entries first … last; shapes as in `attend`."""
    T, S, D, E = up(t), up(s), up(d), up(e)
    whole = T == t and S == s and D == d and E == e
    band = min(T, BAND)
    turned, dturned = room(D * band), room(E * band)
    p, g = room(KEYS * band), room(KEYS * band)
    less, dot = room(band), room(band)
    seen, limit = room(band), limits(limit, T)
    factor = np.full(1, scale, np.float32)
    qs, ks, vs, ys, ls, dys, dqs, dks, dvs = q, k, v, y, lse, dy, dq, dk, dv
    if not whole:
        qs, dqs = room(T * D), room(T * D)
        ks, dks = room(S * D), room(S * D)
        vs, dvs = room(S * E), room(S * E)
        ys, dys, ls = (
            room(T * E),
            room(T * E),
            room(T),
        )
    for b in range(first, last):
        if not whole:
            pad(q, b * t * d, t, d, qs, T, D)
            pad(k, b * s * d, s, d, ks, S, D)
            pad(v, b * s * e, s, e, vs, S, E)
            pad(y, b * t * e, t, e, ys, T, E)
            pad(dy, b * t * e, t, e, dys, T, E)
            pad(lse, b * t, t, 1, ls, T, 1)
        h = b if whole else 0
        for i in range(0, T, band):
            n = h * T + i
            attend_band_grad(
                qs, n * D, ks, h * S * D, vs, h * S * E, limit, i, ys, n * E, ls, n, dys,
                dqs, dks, dvs, min(band, T - i), i, S, D, E, factor,
                turned, dturned, p, g, less, dot, seen,
            )  # fmt: skip
        if not whole:
            cut(dqs, D, t, d, dq, b * t * d)
            cut(dks, D, s, d, dk, b * s * d)
            cut(dvs, E, s, e, dv, b * s * e)
