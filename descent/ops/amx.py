"""Products of bf16 and of bytes on Intel's matrix unit: a 32 × 32 block in four of its tiles.

    y[i, j] = Σ_p a[i, p] · b[p, j]      an instruction: 16 × 16 sums of 16 words (32 or 64 terms)

The panels are those of `bf16` and `int8`, and so are the results (bf16: other sums are rounded).
The unit wants the rows of a lying along their sums, so panels of a are turned over first. Whether
these products serve on a machine, `amx_trial` says. Left out: sizes tuned on such a processor (this
was written where there is none; what the caches hold is `tiles`' choice).
"""

from __future__ import annotations

import numpy as np

from descent.kernel import amx, kernel, lanes
from descent.kernel.amx import SIDE
from descent.ops import int8
from descent.ops.bf16 import pack
from descent.ops.tiles import ADD, BIAS, BLOCK, DEPTH, WIDTH

__all__ = ["pack", "product", "product_of_bytes"]

pack_bytes, scale = int8.pack, int8.scale


@kernel
def turn(near, words, groups, a, row):
    """Rows of words, `row` apart in a, from panels `near`; up to `row` they end in zeros."""
    whole = words // SIDE * SIDE
    for i in range(0, groups * WIDTH, SIDE):
        start = i // WIDTH * WIDTH * words + i % WIDTH
        for q in range(0, whole, SIDE):
            lanes.transpose(near, start + q * WIDTH, WIDTH, a, i * row + q, row)
        for r in range(SIDE):
            for q in range(whole, row):
                a[(i + r) * row + q] = near[start + q * WIDTH + r] if q < words else 0


@kernel
def step(a, i, row, b, j, sums):
    """The four tiles of sums, 16 words further."""
    amx.load(4, a, i, row)
    amx.load(5, a, i + SIDE * row, row)
    amx.load(6, b, j, WIDTH)
    amx.load(7, b, j + SIDE, WIDTH)
    amx.add_product(0, 4, 6, sums)
    amx.add_product(1, 4, 7, sums)
    amx.add_product(2, 5, 6, sums)
    amx.add_product(3, 5, 7, sums)


@kernel
def block(a, i, row, b, j, words, last, sums):
    """sums [32 × 32] = 32 rows of a · one panel of b; `last`: its words beyond a multiple of 16."""
    amx.zero(0)
    amx.zero(1)
    amx.zero(2)
    amx.zero(3)
    whole = words // SIDE * SIDE
    for q in range(0, whole, SIDE):
        step(a, i + q, row, b, j + q * WIDTH, sums)
    if whole < words:
        step(a, i + whole, row, last, 0, sums)
    amx.store(0, sums, 0, WIDTH)
    amx.store(1, sums, SIDE, WIDTH)
    amx.store(2, sums, SIDE * WIDTH, WIDTH)
    amx.store(3, sums, SIDE * WIDTH + SIDE, WIDTH)


@kernel
def keep_last(b, j, words, last):
    """The panel's words beyond a multiple of 16 and, in the place of what follows, zeros."""
    rest = words % SIDE * WIDTH
    start = j + words * WIDTH - rest
    for at in range(SIDE * WIDTH if rest > 0 else 0):
        last[at] = b[start + at] if at < rest else 0


@kernel
def put(sums, y, at, y_row, rows, left, columns, mode, bias):
    """One block of y, at y[at], from its float32 sums, and what `mode` says."""
    for i in range(rows):
        start = at + i * y_row + left
        for j in range(0, columns, lanes.COUNT):
            count = min(lanes.COUNT, columns - j)
            v = lanes.load(sums, i * WIDTH + j)
            if mode == BIAS:
                v = v + lanes.load_part(bias, left + j, count)
            if mode == ADD:
                v = v + lanes.load_part(y, start + j, count)
            lanes.store_part(y, start + j, v, count)


@kernel
def aligned(size):
    """`size` int32 that begin a line of the caches (a tile's row is one line long)."""
    memory = np.empty(size + 15, np.int32)
    first = -(memory.ctypes.data // 4) % 16
    return memory[first : first + size]


@kernel(apart="fiiwiifiiiiiif")
def product(
    a, row, col, panels, k, n, y, y_row, rows_from, rows_to, panels_from, panels_to, mode, bias
):
    """`bf16.product`."""
    words = (k + 1) // 2
    length = (min(words, DEPTH) + SIDE - 1) // SIDE * SIDE
    near, turned = np.empty(min(words, DEPTH) * BLOCK, np.int32), aligned(length * BLOCK)
    last, sums = aligned(SIDE * WIDTH), np.empty(WIDTH * WIDTH, np.float32)
    amx.start()
    for p in range(0, max(words, 1), DEPTH):
        depth, how = min(DEPTH, words - p), ADD if p > 0 else mode
        for top in range(rows_from, rows_to, BLOCK):
            rows = min(BLOCK, rows_to - top)
            terms, groups = min(2 * depth, k - 2 * p), (rows + WIDTH - 1) // WIDTH
            pack(a[top * row + 2 * p * col :], col, row, terms, rows, near, 0, groups)
            turn(near, depth, groups, turned, length)
            for panel in range(panels_from, panels_to):
                left = panel * WIDTH
                keep_last(panels, left * words + p * WIDTH, depth, last)
                for i in range(0, rows, WIDTH):
                    b_at = left * words + p * WIDTH
                    block(turned, i * length, length, panels, b_at, depth, last, sums)
                    put(
                        sums, y, (top + i) * y_row, y_row, min(WIDTH, rows - i),
                        left, min(WIDTH, n - left), how, bias,
                    )  # fmt: skip
    amx.stop()


@kernel
def product_of_bytes(
    a, row, col, panels, scales, offsets, k, n, y, y_row,
    rows_from, rows_to, panels_from, panels_to, mode, bias,
):  # fmt: skip
    """`int8.product`."""
    words = (k + 3) // 4
    length = (words + SIDE - 1) // SIDE * SIDE
    near, turned = np.empty(words * BLOCK, np.int32), aligned(length * BLOCK)
    last, sums = aligned(SIDE * WIDTH), np.empty(WIDTH * WIDTH, np.int32)
    s, unused = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    amx.start()
    for top in range(rows_from, rows_to, BLOCK):
        rows = min(BLOCK, rows_to - top)
        groups = (rows + WIDTH - 1) // WIDTH
        pack_bytes(a[top * row :], col, row, k, rows, near, s, unused, 0, groups, True)
        turn(near, words, groups, turned, length)
        for panel in range(panels_from, panels_to):
            left = panel * WIDTH
            keep_last(panels, left * words, words, last)
            for i in range(0, rows, WIDTH):
                block(turned, i * length, length, panels, left * words, words, last, sums)
                for r in range(0, WIDTH * WIDTH, WIDTH):
                    for j in range(0, WIDTH, lanes.COUNT):
                        v = lanes.load(sums, r + j) + lanes.load(offsets, left + j)
                        lanes.store(sums, r + j, v)
                scale(
                    sums, y, (top + i) * y_row, y_row, min(WIDTH, rows - i), n, left,
                    min(WIDTH, n - left), s[i:], scales, mode, bias,
                )  # fmt: skip
    amx.stop()
