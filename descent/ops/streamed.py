"""Products of a few rows with weights packed once, as works: y = a · wᵀ, by panels of 32 columns.

    y[r, j] = Σ_p a[r, p] · w[j, p]  (+ bias[j])  (+ y[r, j])

A decoder reads every weight once per step, so its time is that of memory: panels (`tiles.pack`,
`bf16.pack`) lie in the order in which they are read, a thread's share in one stream. Works: see
`descent.ops.decoding`; a unit is one panel, all rows. Bytes and nibbles are in `quantised`.

Constants (slot 1): [k, n, numbers from one row of y to the next, mode, which size counts the rows].
"""

from __future__ import annotations

from descent.kernel import kernel, places
from descent.ops import bf16, tiles
from descent.ops.decoding import ROWS, spot
from descent.ops.tiles import WIDTH, column_of_tiles

__all__ = ["pair_columns", "pair_rows", "product_floats", "product_pairs"]

multiply_floats, narrow_row = tiles.product, bf16.narrow_row


@kernel
def product_floats(lo, hi, frame, me):
    """Panels lo … hi. Frame: sizes, constants, a [rows, k], panels, y, bias; all float32."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    a, panels = places.float32(frame, 2), places.float32(frame, 3)
    y, bias = places.float32(frame, 4), places.float32(frame, 5)
    k, n, rows = shape[0], shape[1], sizes[shape[4]]
    multiply_floats(a, k, 1, panels, k, n, y, shape[2], 0, rows, lo, hi, shape[3], bias)


@kernel
def product_pairs(lo, hi, frame, me):
    """The same with a and panels of bf16, two to an int32 word: a [rows, words]."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    a, panels = places.int32(frame, 2), places.int32(frame, 3)
    y, bias = places.float32(frame, 4), places.float32(frame, 5)
    words, n, y_row, rows = (shape[0] + 1) // 2, shape[1], shape[2], sizes[shape[4]]
    for panel in range(lo, hi):
        left = panel * WIDTH
        column_of_tiles(
            a, words, 1, 0, rows, panels, left * words, words,
            y, left, y_row, min(WIDTH, n - left), shape[3], bias, left,
        )  # fmt: skip


@kernel
def pair_rows(lo, hi, frame, me):
    """Units are rows, each in `pieces` parts. Frame: sizes, [k, pieces], x, q."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    x, q = places.float32(frame, 2), places.int32(frame, 3)
    k, pieces, words = shape[0], shape[1], (shape[0] + 1) // 2
    for u in range(lo, hi):
        r, piece = spot(u, pieces, sizes[ROWS])
        first, last = words * piece // pieces, words * (piece + 1) // pieces
        narrow_row(x, r * k + 2 * first, min(2 * last, k) - 2 * first, q, r * words + first)


@kernel
def pair_columns(lo, hi, frame, me):
    """The same, `pieces` units in all, each a part of every row."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    x, q = places.float32(frame, 2), places.int32(frame, 3)
    k, pieces, words = shape[0], shape[1], (shape[0] + 1) // 2
    first, last = words * lo // pieces, words * hi // pieces
    for r in range(sizes[ROWS]):
        narrow_row(x, r * k + 2 * first, min(2 * last, k) - 2 * first, q, r * words + first)
