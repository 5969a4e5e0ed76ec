"""Attention over keys and values kept in blocks of 16 tokens, wherever these lie.

    q, k turned by their position (Su et al., arXiv:2104.09864), then
    y = Σ_j softmax_j(q · k_j / √D) v_j      over the tokens j of the sequence, up to the row's own

A sequence's tokens are in the blocks its table names, in order (Kwon et al., arXiv:2309.06180), so
sequences grow without moving and may share what they have in common. In a block, per layer and
head, keys stand number by number with the 16 tokens in the lanes, values token by token: neither
product crosses lanes. Heads that share keys (arXiv:2305.13245) read them once into the cache.
float32, keys and values in float32 or float16. Works: see `descent.ops.decoding`.

Constants (slot 1 of both frames): [heads, kv heads, D, D up to 16, kv row, block, layer, window],
the last three in numbers of the cache: one block, where the layer begins in it, 0 for no window.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel, lanes, narrow, places
from descent.ops.decoding import WIDEST
from descent.ops.vectormath import exp32

__all__ = ["BLOCK", "attend", "attend_halves", "place", "place_halves", "up"]

BLOCK = lanes.COUNT  # tokens of a block
ONE = np.float32(1)
LOWEST = np.float32(-np.inf)


def up(n):
    """n, or the next multiple of 16."""
    return (n + BLOCK - 1) // BLOCK * BLOCK


@kernel
def turn(x, at, d, cos, sin, angle):
    """The pairs (x_i, x_{i + D/2}) of one head, turned by the angles at `angle`."""
    half = d // 2
    low, high = x[at : at + half], x[at + half : at + d]
    c, s = cos[angle : angle + half], sin[angle : angle + half]
    for i in range(half):
        a, b = low[i], high[i]
        low[i] = a * c[i] - b * s[i]
        high[i] = b * c[i] + a * s[i]


@kernel
def place_rows(lo, hi, frame, cache):
    """Rows lo … hi: turn q and k, and write k and v into the row's place in its block."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    positions, sequence = places.int32(frame, 2), places.int32(frame, 3)
    tables, qkv = places.int32(frame, 4), places.float32(frame, 5)
    cos, sin = places.float32(frame, 7), places.float32(frame, 8)
    heads, groups, d, wide = shape[0], shape[1], shape[2], shape[3]
    per_group, row = BLOCK * (shape[4] + wide), (heads + 2 * groups) * d
    for r in range(lo, hi):
        position, at = positions[r], r * row
        if cos.size > 1:
            for h in range(heads + groups):
                turn(qkv, at + h * d, d, cos, sin, position * (d // 2))
        block = np.int64(tables[sequence[r] * sizes[WIDEST] + position // BLOCK])
        here, j = block * shape[5] + shape[6], position % BLOCK
        for g in range(groups):
            k, v = at + (heads + g) * d, at + (heads + groups + g) * d
            to = here + g * per_group
            for i in range(d):
                narrow.put(cache, to + i * BLOCK + j, qkv[k + i])
            to += BLOCK * shape[4] + j * wide
            for i in range(d):
                narrow.put(cache, to + i, qkv[v + i])


@kernel
def place(lo, hi, frame, me):
    """Frame: sizes, constants, positions, sequence, tables, q|k|v, cache, cos, sin."""
    place_rows(lo, hi, frame, places.float32(frame, 6))


@kernel
def place_halves(lo, hi, frame, me):
    """The same with a cache of float16."""
    place_rows(lo, hi, frame, places.uint16(frame, 6))


@kernel
def scores(q, at, scale, cache, key, d, p, to, ahead):
    """p[to + j] = scale · q · k_j for the 16 keys of a block; those `ahead` are asked for."""
    a, b, c, e = lanes.zeros(), lanes.zeros(), lanes.zeros(), lanes.zeros()
    for i in range(0, d, 4):
        here = key + i * BLOCK
        lanes.expect(cache, here + ahead)
        lanes.expect(cache, here + ahead + 2 * BLOCK)
        a = lanes.fma(lanes.splat(q, at + i), narrow.widened(cache, here), a)
        b = lanes.fma(lanes.splat(q, at + i + 1), narrow.widened(cache, here + BLOCK), b)
        c = lanes.fma(lanes.splat(q, at + i + 2), narrow.widened(cache, here + 2 * BLOCK), c)
        e = lanes.fma(lanes.splat(q, at + i + 3), narrow.widened(cache, here + 3 * BLOCK), e)
    lanes.store(p, to, ((a + b) + (c + e)) * scale)


@kernel
def mix(p, at, n, cache, value, wide, total, ahead):
    """total + Σ_j p[at + j] · v_j, 16 numbers of each of n ≤ 16 values."""
    if n < BLOCK:  # what lies behind the last one may be anything
        for j in range(n):
            v = narrow.widened(cache, value + j * wide)
            total = lanes.fma(lanes.splat(p, at + j), v, total)
        return total
    a, b, c, e = lanes.zeros(), lanes.zeros(), lanes.zeros(), lanes.zeros()
    for j in range(0, BLOCK, 4):
        here = value + j * wide
        lanes.expect(cache, here + ahead)
        lanes.expect(cache, here + ahead + wide)
        lanes.expect(cache, here + ahead + 2 * wide)
        lanes.expect(cache, here + ahead + 3 * wide)
        a = lanes.fma(lanes.splat(p, at + j), narrow.widened(cache, here), a)
        b = lanes.fma(lanes.splat(p, at + j + 1), narrow.widened(cache, here + wide), b)
        c = lanes.fma(lanes.splat(p, at + j + 2), narrow.widened(cache, here + 2 * wide), c)
        e = lanes.fma(lanes.splat(p, at + j + 3), narrow.widened(cache, here + 3 * wide), e)
    return ((a + b) + (c + e)) + total


@kernel
def softmax(p, first, last):
    """exp(p − max p) in place for numbers first … last, 0 in the rest of their blocks; 1 / sum."""
    end = up(last + 1)
    for i in range(first // BLOCK * BLOCK, first):
        p[i] = LOWEST
    for i in range(last + 1, end):
        p[i] = LOWEST
    start = first // BLOCK * BLOCK
    most = lanes.load(p, start)
    for i in range(start + BLOCK, end, BLOCK):
        most = lanes.maximum(most, lanes.load(p, i))
    lanes.store(p, end, most)
    top = p[end]
    for i in range(end + 1, end + BLOCK):
        top = max(top, p[i])
    part = p[start:end]
    for i in range(part.size):
        part[i] = exp32(part[i] - top)
    total = lanes.zeros()
    for i in range(start, end, BLOCK):
        total = total + lanes.load(p, i)
    return ONE / lanes.total(total)


@kernel
def attend_rows(lo, hi, frame, me, cache):
    """Units are kv heads of rows; each does the heads that share it."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    positions, sequence = places.int32(frame, 2), places.int32(frame, 3)
    tables, qkv = places.int32(frame, 4), places.float32(frame, 5)
    ys, ps = places.float32(frame, 7), places.float32(frame, 8)
    scale = lanes.splat(places.float32(frame, 9), 0)
    heads, groups, d, wide, tall = shape[0], shape[1], shape[2], shape[3], shape[4]
    each, row = heads // groups, (heads + 2 * groups) * d
    p, out = ps[me * shape[8] :][: shape[8]], ps[me * shape[8] :][shape[8] - wide :]
    for u in range(lo, hi):
        r, g = u // groups, u % groups
        last = np.int64(positions[r])
        first = max(0, last + 1 - shape[7]) if shape[7] > 0 else 0
        table = sequence[r] * sizes[WIDEST]
        here, ahead = shape[6] + g * BLOCK * (tall + wide), BLOCK * (tall + wide)
        for h in range(g * each, (g + 1) * each):
            for b in range(first // BLOCK, last // BLOCK + 1):
                key = np.int64(tables[table + b]) * shape[5] + here
                scores(qkv, r * row + h * d, scale, cache, key, tall, p, b * BLOCK, ahead)
            factor = lanes.fill(softmax(p, first, last))
            for c in range(0, wide, BLOCK):
                total = lanes.zeros()
                for b in range(first // BLOCK, last // BLOCK + 1):
                    value = np.int64(tables[table + b]) * shape[5] + here + BLOCK * tall + c
                    j = max(first - b * BLOCK, 0)
                    n = min(last + 1 - b * BLOCK, BLOCK) - j
                    total = mix(p, b * BLOCK + j, n, cache, value + j * wide, wide, total, ahead)
                lanes.store(out, c, total * factor)
            y = ys[(r * heads + h) * d :][:d]
            for i in range(d):
                y[i] = out[i]


@kernel
def attend(lo, hi, frame, me):
    """Frame: sizes, constants and the size of a thread's room, positions, sequence, tables, q|k|v,
    cache, y, rooms (scores of a sequence, 16 more, and one head), [1/√D]."""
    attend_rows(lo, hi, frame, me, places.float32(frame, 6))


@kernel
def attend_halves(lo, hi, frame, me):
    """The same with a cache of float16."""
    attend_rows(lo, hi, frame, me, places.uint16(frame, 6))
