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

__all__ = ["product_floats", "product_pairs"]

multiply_floats, multiply_pairs = tiles.product, bf16.product


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
    """The same with panels of bf16 (int32 words); a is rounded to bf16 on its way."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    a, panels = places.float32(frame, 2), places.int32(frame, 3)
    y, bias = places.float32(frame, 4), places.float32(frame, 5)
    k, n, rows = shape[0], shape[1], sizes[shape[4]]
    multiply_pairs(a, k, 1, panels, k, n, y, shape[2], 0, rows, lo, hi, shape[3], bias)
