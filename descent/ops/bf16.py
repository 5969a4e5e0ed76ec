"""Matrix products of bf16 numbers with float32 sums: half the bytes, twice the speed.

    y[i, j] = Σ_p bf16(a[i, p]) · bf16(b[p, j])        bf16: float32 without its lower 16 bits

Operands come and results go as float32; both operands are rounded to bf16 (to nearest, halves to
even) on their way into panels of words, each two numbers that follow each other in the sum. The
processor's bf16 unit (AVX-512 BF16) takes a word in one step; on others a word is two float32
products of the same numbers. Denormal numbers count as 0 in that unit. Otherwise as `tiles`.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel, lanes, narrow
from descent.ops import tiles
from descent.ops.tiles import ADD, BLOCK, DEPTH, ROWS, WIDTH, column_of_tiles, sweep

__all__ = ["narrow_row", "pack", "panels_size", "product", "product_of_packed"]

PIECE = 256  # terms of a panel that are rounded at a time, still in the first cache (even)
pack_floats = tiles.pack


def panels_size(k, n):
    """How many int32 the panels of a k × n matrix take."""
    return tiles.panels_size((k + 1) // 2, n)


@kernel
def narrow_row(x, at, n, q, to):
    """q[to …] = x[at …] as words; n numbers, which stay in their order."""
    whole = n // (2 * lanes.COUNT) * lanes.COUNT
    for i in range(0, whole, lanes.COUNT):
        lanes.store(q, to + i, narrow.pairs(x, at + 2 * i))
    for i in range(whole, n // 2):
        q[to + i] = narrow.word(x[at + 2 * i], x[at + 2 * i + 1])
    if n % 2:
        q[to + n // 2] = narrow.word(x[at + n - 1], np.float32(0))


@kernel(apart="fiiiiwii")
def pack(b, row, col, k, n, panels, first, last):
    """Write panels first … last - 1 of the float32 matrix b[p·row + j·col] as words (int32)."""
    words = (k + 1) // 2
    if col == 1:
        pack_rows(b, row, k, n, panels, first, last)
        return
    piece = np.empty((PIECE + 1) * WIDTH, np.float32)
    for panel in range(first, last):
        left = panel * WIDTH
        for p in range(0, k, PIECE):
            size = min(PIECE, k - p)
            pack_floats(
                b[p * row + left * col :], row, col, size, min(WIDTH, n - left), piece, 0, 1
            )
            piece[size * WIDTH : (size + 1) * WIDTH] = 0  # a last number without a partner
            at = (left * words) + p // 2 * WIDTH
            for q in range(0, size, 2):
                for j in range(0, WIDTH, lanes.COUNT):
                    low = lanes.load(piece, q * WIDTH + j)
                    high = lanes.load(piece, (q + 1) * WIDTH + j)
                    lanes.store(panels, at + q // 2 * WIDTH + j, narrow.pair(low, high))


@kernel
def pack_rows(b, row, k, n, panels, first, last):
    """The same of rows that lie in one piece: a few of all panels, then the next few."""
    words = (k + 1) // 2
    for p in range(0, k, ROWS):
        for panel in range(first, last):
            for q in range(p, min(p + ROWS, k), 2):
                for half in range(0, WIDTH, lanes.COUNT):
                    left = panel * WIDTH + half
                    count = max(0, min(lanes.COUNT, n - left))
                    lanes.expect(b, (q + ROWS) * row + left)
                    lanes.expect(b, (q + ROWS + 1) * row + left)
                    low, high = lanes.load_part(b, q * row + left, count), lanes.zeros()
                    if q + 1 < k:
                        high = lanes.load_part(b, (q + 1) * row + left, count)
                    at = panel * WIDTH * words + q // 2 * WIDTH + half
                    lanes.store(panels, at, narrow.pair(low, high))


@kernel(apart="wiiwiifiiiiif")
def product_of_packed(
    near, near_words, near_from, panels, k, n, y, y_row, rows, panels_from, panels_to, mode, bias
):
    """`product` of all rows with a packed too, as aᵀ, `near_words` long: k numbers of each row from
    word near_from on. Whoever multiplies the same a often has it rounded once."""
    words = (k + 1) // 2
    for top in range(0, rows, BLOCK):
        for panel in range(panels_from, panels_to):
            left = panel * WIDTH
            for p in range(0, max(words, 1), DEPTH):
                for i in range(top, min(top + BLOCK, rows), WIDTH):
                    column_of_tiles(
                        near[i * near_words + (near_from + p) * WIDTH :], 1, WIDTH,
                        0, min(WIDTH, rows - i), panels, left * words + p * WIDTH,
                        min(DEPTH, words - p), y, i * y_row + left, y_row, min(WIDTH, n - left),
                        ADD if p > 0 else mode, bias, left,
                    )  # fmt: skip


@kernel(apart="fiiwiifiiiiiif")
def product(
    a, row, col, panels, k, n, y, y_row, rows_from, rows_to, panels_from, panels_to, mode, bias
):
    """`tiles.product` with float32 a, and panels of b from `pack` (int32)."""
    words = (k + 1) // 2
    near = np.empty(min(words, DEPTH) * BLOCK, np.int32)
    for p in range(0, max(words, 1), DEPTH):
        depth, how = min(DEPTH, words - p), ADD if p > 0 else mode
        for top in range(rows_from, rows_to, BLOCK):
            rows = min(BLOCK, rows_to - top)
            terms, groups = min(2 * depth, k - 2 * p), (rows + WIDTH - 1) // WIDTH
            pack(a[top * row + 2 * p * col :], col, row, terms, rows, near, 0, groups)
            sweep(
                near, panels, words, n, y, top * y_row, y_row, rows,
                panels_from, panels_to, p, depth, how, bias,
            )  # fmt: skip
