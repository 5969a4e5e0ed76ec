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
from descent.ops.decoding import ROWS, WIDEST, spot
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


def fours(x, at, v, t):
    """t_i + x[at + i] · v_i for four vectors: four sums run side by side."""
    a, b = lanes.splat(x, at), lanes.splat(x, at + 1)
    c, d = lanes.splat(x, at + 2), lanes.splat(x, at + 3)
    e, f = lanes.fma(a, v[0], t[0]), lanes.fma(b, v[1], t[1])
    return e, f, lanes.fma(c, v[2], t[2]), lanes.fma(d, v[3], t[3])


def four_of(cache, at, step):
    """Four vectors of the cache."""
    return (
        narrow.widened(cache, at), narrow.widened(cache, at + step),
        narrow.widened(cache, at + 2 * step), narrow.widened(cache, at + 3 * step),
    )  # fmt: skip


def nothing():
    """Four sums that begin."""
    return lanes.zeros(), lanes.zeros(), lanes.zeros(), lanes.zeros()


def joined(t):
    """Their sum."""
    return (t[0] + t[1]) + (t[2] + t[3])


@kernel
def scores(q, at, scale, cache, key, d, p, to, ahead):
    """p[to + j] = scale · q · k_j for the 16 keys of a block; those `ahead` are asked for."""
    t = nothing()
    for i in range(0, d, 4):
        here = key + i * BLOCK
        lanes.expect(cache, here + ahead)
        lanes.expect(cache, here + ahead + 2 * BLOCK)
        t = fours(q, at + i, four_of(cache, here, BLOCK), t)
    lanes.store(p, to, joined(t) * scale)


@kernel
def scores_of_four(q, at, row, scale, cache, key, d, p, to, room):
    """The same for four rows of q, whose scores are `room` numbers apart."""
    s, t, u, v = nothing(), nothing(), nothing(), nothing()
    for i in range(0, d, 4):
        k = four_of(cache, key + i * BLOCK, BLOCK)
        s, t = fours(q, at + i, k, s), fours(q, at + row + i, k, t)
        u, v = fours(q, at + 2 * row + i, k, u), fours(q, at + 3 * row + i, k, v)
    lanes.store(p, to, joined(s) * scale)
    lanes.store(p, to + room, joined(t) * scale)
    lanes.store(p, to + 2 * room, joined(u) * scale)
    lanes.store(p, to + 3 * room, joined(v) * scale)


@kernel
def mix(p, at, n, cache, value, wide, total, ahead):
    """total + Σ_j p[at + j] · v_j, 16 numbers of each of n ≤ 16 values."""
    if n < BLOCK:  # what lies behind the last one may be anything
        for j in range(n):
            v = narrow.widened(cache, value + j * wide)
            total = lanes.fma(lanes.splat(p, at + j), v, total)
        return total
    t = nothing()
    for j in range(0, BLOCK, 4):
        here = value + j * wide
        lanes.expect(cache, here + ahead)
        lanes.expect(cache, here + ahead + wide)
        lanes.expect(cache, here + ahead + 2 * wide)
        lanes.expect(cache, here + ahead + 3 * wide)
        t = fours(p, at + j, four_of(cache, here, wide), t)
    return joined(t) + total


@kernel
def mix_four(p, at, room, cache, value, wide, y, row):
    """The same for four rows with 16 values each; their sums are in y, `row` numbers apart."""
    s, t, u, v = nothing(), nothing(), nothing(), nothing()
    for j in range(0, BLOCK, 4):
        x = four_of(cache, value + j * wide, wide)
        s, t = fours(p, at + j, x, s), fours(p, at + room + j, x, t)
        u, v = fours(p, at + 2 * room + j, x, u), fours(p, at + 3 * room + j, x, v)
    lanes.store(y, 0, joined(s) + lanes.load(y, 0))
    lanes.store(y, row, joined(t) + lanes.load(y, row))
    lanes.store(y, 2 * row, joined(u) + lanes.load(y, 2 * row))
    lanes.store(y, 3 * row, joined(v) + lanes.load(y, 3 * row))


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
def attend_one(q, q_at, last, table, tables, shape, here, scale, cache, p, out, ahead):
    """out[0 … wide] = y of one head of one row; p: room for its scores."""
    wide, tall = shape[3], shape[4]
    first = max(0, last + 1 - shape[7]) if shape[7] > 0 else 0
    for b in range(first // BLOCK, last // BLOCK + 1):
        key = np.int64(tables[table + b]) * shape[5] + here
        scores(q, q_at, scale, cache, key, tall, p, b * BLOCK, ahead)
    factor = lanes.fill(softmax(p, first, last))
    for c in range(0, wide, BLOCK):
        total = lanes.zeros()
        for b in range(first // BLOCK, last // BLOCK + 1):
            value = np.int64(tables[table + b]) * shape[5] + here + BLOCK * tall + c
            j = max(first - b * BLOCK, 0)
            n = min(last + 1 - b * BLOCK, BLOCK) - j
            total = mix(p, b * BLOCK + j, n, cache, value + j * wide, wide, total, ahead)
        lanes.store(out, c, total * factor)


@kernel
def attend_four(q, q_at, row, last, table, tables, shape, here, scale, cache, p, out):
    """The same for four rows of one sequence at positions last … last + 3, every key seen."""
    wide, tall, room = shape[3], shape[4], shape[8]
    for b in range((last + 3) // BLOCK + 1):
        key = np.int64(tables[table + b]) * shape[5] + here
        scores_of_four(q, q_at, row, scale, cache, key, tall, p, b * BLOCK, room)
    whole = (last + 1) // BLOCK  # blocks that all four see to their end
    for c in range(0, wide, BLOCK):
        for i in range(4):
            lanes.store(out, i * wide + c, lanes.zeros())
    for i in range(4):
        out[4 * wide + i] = softmax(p[i * room :], 0, last + i)
    for c in range(0, wide, BLOCK):
        for b in range(whole):
            value = np.int64(tables[table + b]) * shape[5] + here + BLOCK * tall + c
            mix_four(p, b * BLOCK, room, cache, value, wide, out[c:], wide)
        for i in range(4):
            total = lanes.load(out, i * wide + c)
            for b in range(whole, (last + i) // BLOCK + 1):
                value = np.int64(tables[table + b]) * shape[5] + here + BLOCK * tall + c
                n, at = min(last + i + 1 - b * BLOCK, BLOCK), i * room + b * BLOCK
                total = mix(p, at, n, cache, value, wide, total, 0)
            lanes.store(out, i * wide + c, total * lanes.splat(out, 4 * wide + i))


@kernel
def attend_rows(lo, hi, frame, me, cache):
    """Units are kv heads of rows (`spot`); each does the heads that share it. Four rows that follow
    each other in a sequence read its keys and values together."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    positions, sequence = places.int32(frame, 2), places.int32(frame, 3)
    tables, qkv = places.int32(frame, 4), places.float32(frame, 5)
    ys, ps = places.float32(frame, 7), places.float32(frame, 8)
    scale = lanes.splat(places.float32(frame, 9), 0)
    heads, groups, d, wide, tall = shape[0], shape[1], shape[2], shape[3], shape[4]
    each, row, per_group = heads // groups, (heads + 2 * groups) * d, BLOCK * (tall + wide)
    size = 4 * shape[8] + 5 * wide
    p, out = ps[me * size :][: 4 * shape[8]], ps[me * size + 4 * shape[8] :][: 5 * wide]
    u = lo
    while u < hi:
        r, g = spot(u, groups, sizes[ROWS])
        last, table = np.int64(positions[r]), sequence[r] * sizes[WIDEST]
        here, rows = shape[6] + g * per_group, 1
        if r % 4 == 0 and r + 4 <= sizes[ROWS] and u + 4 <= hi and shape[7] == 0:
            same = sequence[r] == sequence[r + 3] and positions[r] + 3 == positions[r + 3]
            rows = 4 if same else 1
        for h in range(g * each, (g + 1) * each):
            q_at = r * row + h * d
            if rows == 4:
                attend_four(
                    qkv, q_at, row, last, table, tables, shape, here, scale, cache, p, out
                )  # fmt: skip
            else:
                attend_one(
                    qkv, q_at, last, table, tables, shape, here, scale, cache, p, out, per_group
                )  # fmt: skip
            for k in range(rows):
                y = ys[((r + k) * heads + h) * d :][:d]
                for i in range(d):
                    y[i] = out[k * wide + i]
        u += rows


@kernel
def attend(lo, hi, frame, me):
    """Frame: sizes, constants and the size of a row's room, positions, sequence, tables, q|k|v,
    cache, y, threads' rooms (four rows' scores of a sequence and 16 more, five heads), [1/√D]."""
    attend_rows(lo, hi, frame, me, places.float32(frame, 6))


@kernel
def attend_halves(lo, hi, frame, me):
    """The same with a cache of float16."""
    attend_rows(lo, hi, frame, me, places.uint16(frame, 6))
