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
from descent.ops.tiles import ADD, BLOCK, DEPTH, WIDTH, sweep

__all__ = ["narrow_row", "pack", "panels_size", "product"]

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
