"""Matrix products in registers: y = a · b by tiles of y that stay in the processor's registers.

    y[i, j] = Σ_p a[i, p] · b[p, j]        a tile is HEIGHT rows × WIDTH columns of y

b is packed once into panels of WIDTH columns, so that the tile reads it in one stream; of a, one
number per row is read and spread over a register. With AVX-512 a tile of 14 × 32 keeps both
multipliers busy: per term of the sum 28 fused multiply-adds for 16 reads. Sums longer than DEPTH
are cut, so that what a tile reads stays in the caches.

Everything is flat float32 arrays and strides: one compiled form serves every layout, and the
functions run uncompiled as they stand. K. Goto, R. van de Geijn, "Anatomy of high-performance
matrix multiplication", ACM TOMS 34(3), 2008.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel, lanes, processor, registers

__all__ = ["ADD", "BIAS", "PLAIN", "WIDTH", "pack", "panels_size", "product"]

# Rows of the tiles, and vectors of 16 columns: as many sums as there are registers for them.
TALL, MIDDLE, LOW, VECTORS = {16: (14, 8, 4, 2), 8: (6, 4, 2, 1), 4: (2, 2, 1, 1)}[
    processor.vector_floats()
]
WIDTH = lanes.COUNT * VECTORS
DEPTH = 768
BLOCK = WIDTH * 5

PLAIN, BIAS, ADD = 0, 1, 2  # what becomes of a · b: y = a·b, y = a·b + bias, y += a·b


def panels_size(k, n):
    """How many float32 the panels of a k × n matrix take."""
    return k * ((n + WIDTH - 1) // WIDTH * WIDTH)


@kernel(apart="fiiiifii")  # many others call it: see Kernel.apart
def pack(b, row, col, k, n, panels, first, last):
    """Write panels first … last - 1 of the matrix b[p·row + j·col]; missing columns are 0."""
    for panel in range(first, last):
        left, start = panel * WIDTH, panel * WIDTH * k
        count = min(WIDTH, n - left)
        if col == 1:
            for p in range(k):
                for j in range(0, WIDTH, lanes.COUNT):
                    part = max(0, min(lanes.COUNT, count - j))
                    v = lanes.load_part(b, p * row + left + j, part)
                    lanes.store(panels, start + p * WIDTH + j, v)
            continue
        whole = 0
        if row == 1 and count == WIDTH:
            whole = k // lanes.COUNT * lanes.COUNT
            for p in range(0, whole, lanes.COUNT):
                for j in range(0, WIDTH, lanes.COUNT):
                    at = start + p * WIDTH + j
                    lanes.transpose(b, p + (left + j) * col, col, panels, at, WIDTH)
        for p in range(whole, k):
            for j in range(WIDTH):
                at = start + p * WIDTH + j
                panels[at] = b[p * row + (left + j) * col] if j < count else panels.dtype.type(0)


@kernel
def tile(of, a, i, row, col, panels, j, k, y, at, y_row, skip, columns, mode, bias, bias_at):
    """One tile of y: its sums begin, run over k and end in registers."""
    registers.expect(of, y, at, y_row)
    block = registers.zeros(of)
    for p in range(k):
        block = registers.outer(block, a, i + p * col, row, panels, j + p * WIDTH)
    if mode == BIAS:
        block = registers.add_row(block, bias, bias_at, columns)
    if mode == ADD:
        block = registers.add(block, y, at, y_row, skip, columns)
    registers.write(block, y, at, y_row, skip, columns)


@kernel
def column_of_tiles(a, row, col, panels, j, k, y, y_row, left, top, bottom, columns, mode, bias):
    """y in rows top … bottom - 1 of one panel.

    The last tile ends with the last row, so that it reads rows there are; those that the tile
    before has done it leaves alone (`skip`).
    """
    i = top
    while i < bottom:
        rest = bottom - i
        if bottom >= TALL and rest > MIDDLE + LOW:
            first = min(i, bottom - TALL)
            tile(
                registers.shape(TALL, VECTORS), a, first * row, row, col, panels, j, k,
                y, first * y_row + left, y_row, i - first, columns, mode, bias, left,
            )  # fmt: skip
            i = first + TALL
        elif bottom >= MIDDLE and rest > LOW:
            first = min(i, bottom - MIDDLE)
            tile(
                registers.shape(MIDDLE, VECTORS), a, first * row, row, col, panels, j, k,
                y, first * y_row + left, y_row, i - first, columns, mode, bias, left,
            )  # fmt: skip
            i = first + MIDDLE
        elif bottom >= LOW:
            first = min(i, bottom - LOW)
            tile(
                registers.shape(LOW, VECTORS), a, first * row, row, col, panels, j, k,
                y, first * y_row + left, y_row, i - first, columns, mode, bias, left,
            )  # fmt: skip
            i = first + LOW
        else:
            tile(
                registers.shape(1, VECTORS), a, i * row, row, col, panels, j, k,
                y, i * y_row + left, y_row, 0, columns, mode, bias, left,
            )  # fmt: skip
            i += 1


@kernel(apart="fiifiifiiiiiif")  # many others call it: see Kernel.apart
def product(
    a, row, col, panels, k, n, y, y_row, rows_from, rows_to, panels_from, panels_to, mode, bias
):
    """y[i·y_row + j] = Σ_p a[i·row + p·col] · b[p, j] for these rows and panels of b.

    mode PLAIN as said, BIAS with bias[j] added, ADD added to what y holds. `bias` is read in mode
    BIAS alone; any float32 array will do otherwise.
    """
    near = np.empty(min(DEPTH, k) * BLOCK, np.float32)
    for p in range(0, max(k, 1), DEPTH):
        depth = min(DEPTH, k - p)
        if p > 0:
            mode = ADD
        for top in range(rows_from, rows_to, BLOCK):
            bottom = min(top + BLOCK, rows_to)
            pack(a[top * row + p * col :], col, row, depth, bottom - top, near, 0, (bottom-top+WIDTH-1)//WIDTH)
            for panel in range(panels_from, panels_to):
                left = panel * WIDTH
                for group in range(top, bottom, WIDTH):
                    column_of_tiles(
                        near[(group-top)*depth:], 1, WIDTH, panels, left * k + p * WIDTH, depth,
                        y[group * y_row:], y_row, left, 0, min(WIDTH, bottom - group), min(WIDTH, n - left), mode, bias,
                    )  # fmt: skip
