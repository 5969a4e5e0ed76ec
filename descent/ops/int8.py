"""Matrix products of bytes with exact sums: a quarter of the bytes, four products to a step.

    y[i, j] = s_i · t_j · Σ_p q[i, p] · w[p, j]      q = round(a / s), s_i = max_p |a[i, p]| / 127

Each row of a and each column of b has a scale, so that its largest number becomes ±127. The sums of
products of bytes are int32 and exact. The processor's unit (AVX-512 VNNI) wants one side unsigned:
a is stored as q + 128, and 128 · Σ_p w[p, j] is taken off again (`offsets`). On other processors a
word is four int32 products. T. Dettmers et al., arXiv:2208.07339, §2 (vector-wise quantisation).
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel, lanes, narrow
from descent.ops import tiles
from descent.ops.tiles import ADD, BIAS, BLOCK, WIDTH, sweep

__all__ = ["narrow_row", "pack", "panels_size", "product"]

PIECE = 256  # terms of a panel that are rounded at a time (a multiple of 4)
pack_floats = tiles.pack


def panels_size(k, n):
    """How many int32 the panels of a k × n matrix take."""
    return tiles.panels_size((k + 3) // 4, n)


@kernel
def pack(b, row, col, k, n, panels, scales, offsets, first, last, unsigned):
    """Write panels first … last - 1 of the float32 matrix b[p·row + j·col] as words of four bytes.

    `scales` (float32) and `offsets` (int32, -128 · the sum of a column's bytes) get a number per
    column; all three are as wide as whole panels. The left side of a product is packed transposed
    (its rows are columns here) and `unsigned`.
    """
    words, shift = (k + 3) // 4, np.int32(128 if unsigned else 0)
    piece = np.empty((PIECE + 3) * WIDTH, np.float32)
    factors = np.empty(WIDTH, np.float32)
    for panel in range(first, last):
        left, columns = panel * WIDTH, min(WIDTH, n - panel * WIDTH)
        scales[left : left + WIDTH] = 0
        offsets[left : left + WIDTH] = 0
        for p in range(0, k, PIECE):
            size = min(PIECE, k - p)
            pack_floats(b[p * row + left * col :], row, col, size, columns, piece, 0, 1)
            for q in range(size):
                for j in range(0, WIDTH, lanes.COUNT):
                    v = lanes.load(piece, q * WIDTH + j)
                    v = lanes.maximum(v, lanes.zeros() - v)
                    lanes.store(scales, left + j, lanes.maximum(v, lanes.load(scales, left + j)))
        for j in range(WIDTH):
            largest = scales[left + j]
            factors[j] = np.float32(127) / largest if largest > 0 else np.float32(0)
            scales[left + j] = largest / np.float32(127)
        for p in range(0, k, PIECE):
            size = min(PIECE, k - p)
            pack_floats(b[p * row + left * col :], row, col, size, columns, piece, 0, 1)
            piece[size * WIDTH : (size + 3) * WIDTH] = 0
            for q in range(0, size, 4):
                for j in range(0, WIDTH, lanes.COUNT):
                    factor, at = lanes.load(factors, j), q * WIDTH + j
                    w = narrow.rounded(lanes.load(piece, at) * factor)
                    x = narrow.rounded(lanes.load(piece, at + WIDTH) * factor)
                    y = narrow.rounded(lanes.load(piece, at + 2 * WIDTH) * factor)
                    z = narrow.rounded(lanes.load(piece, at + 3 * WIDTH) * factor)
                    more = narrow.fill(shift)
                    word = narrow.quad(w + more, x + more, y + more, z + more)
                    lanes.store(panels, left * words + (p + q) // 4 * WIDTH + j, word)
                    total = (w + x + y + z) * narrow.fill(np.int32(-128))
                    lanes.store(offsets, left + j, lanes.load(offsets, left + j) + total)


@kernel
def narrow_row(x, at, n, q, to):
    """q[to …] = round(x[at …] / s) + 128, n unsigned bytes in their order; returns s."""
    most = lanes.zeros()
    for i in range(0, n, lanes.COUNT):
        v = lanes.load_part(x, at + i, min(lanes.COUNT, n - i))
        most = lanes.maximum(most, lanes.maximum(v, lanes.zeros() - v))
    largest = lanes.largest(most)
    factor = lanes.fill(np.float32(127) / largest if largest > 0 else np.float32(0))
    for i in range(0, n, lanes.COUNT):
        v = lanes.load_part(x, at + i, min(lanes.COUNT, n - i))
        narrow.put_bytes(q, to + i, narrow.rounded(v * factor) + narrow.fill(np.int32(128)))
    return largest / np.float32(127)


@kernel
def scale(sums, y, at, y_row, rows, n, left, columns, s, t, mode, bias):
    """One panel of y from its int32 sums: y = s_i · t_j · sums, and what `mode` says."""
    for i in range(rows):
        factor, start = lanes.splat(s, i), at + i * y_row + left
        for j in range(0, columns, lanes.COUNT):
            count = min(lanes.COUNT, columns - j)
            v = narrow.floats(lanes.load(sums, i * WIDTH + j)) * factor * lanes.load(t, left + j)
            if mode == BIAS:
                v = v + lanes.load_part(bias, left + j, count)
            if mode == ADD:
                v = v + lanes.load_part(y, start + j, count)
            lanes.store_part(y, start + j, v, count)


@kernel
def product(
    a, row, col, panels, scales, offsets, k, n, y, y_row,
    rows_from, rows_to, panels_from, panels_to, mode, bias,
):  # fmt: skip
    """`tiles.product` with float32 a, and panels of b from `pack` with their scales and offsets."""
    words = (k + 3) // 4
    near, sums = np.empty(words * BLOCK, np.int32), np.empty(BLOCK * WIDTH, np.int32)
    s, unused = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    for top in range(rows_from, rows_to, BLOCK):
        rows = min(BLOCK, rows_to - top)
        groups = (rows + WIDTH - 1) // WIDTH
        pack(a[top * row :], col, row, k, rows, near, s, unused, 0, groups, True)
        for panel in range(panels_from, panels_to):
            left = panel * WIDTH
            columns = min(WIDTH, n - left)
            sweep(
                near, panels[left * words :], words, WIDTH, sums, 0, WIDTH, rows,
                0, 1, 0, words, BIAS, offsets[left:],
            )  # fmt: skip
            scale(sums, y, top * y_row, y_row, rows, n, left, columns, s, scales, mode, bias)
