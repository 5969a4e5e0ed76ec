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

__all__ = ["ADD", "BIAS", "BIAS_ADD", "PLAIN", "WIDTH", "pack", "panels_size", "product", "sweep"]

# Rows of the tiles, and vectors of 16 columns: as many sums as there are registers for them.
TALL, MIDDLE, LOW, VECTORS = {16: (14, 8, 4, 2), 8: (6, 4, 2, 1), 4: (2, 2, 1, 1)}[
    processor.vector_floats()
]
WIDTH = lanes.COUNT * VECTORS
DEPTH = 1024  # terms of a sum taken at a time: a panel of 128 kB
BLOCK = 4 * WIDTH  # rows whose part of a (0.5 MB) stays in the second cache meanwhile

# What becomes of a · b: y = a·b, y = a·b + bias, y += a·b, y += a·b + bias.
PLAIN, BIAS, ADD, BIAS_ADD = 0, 1, 2, 3
ROWS = 16  # of b that are packed at a time
FEW = 8  # rows up to here are read where they lie: copying them would cost more than it saves


def panels_size(k, n):
    """How many float32 the panels of a k × n matrix take."""
    return k * ((n + WIDTH - 1) // WIDTH * WIDTH)


@kernel(apart="fiiiifii")  # many others call it: see Kernel.apart
def pack(b, row, col, k, n, panels, first, last):
    """Write panels first … last - 1 of the matrix b[p·row + j·col]; missing columns are 0.

    Memory is read along its lines: a few rows of all panels, then the next few; or, turned, a
    column's numbers one after the other.
    """
    if col == 1:
        for p in range(0, k, ROWS):
            for panel in range(first, last):
                for q in range(p, min(p + ROWS, k)):
                    for half in range(0, WIDTH, lanes.COUNT):
                        left = panel * WIDTH + half
                        count = max(0, min(lanes.COUNT, n - left))
                        lanes.expect(b, (q + ROWS) * row + left)
                        v = lanes.load_part(b, q * row + left, count)
                        lanes.store(panels, panel * WIDTH * k + q * WIDTH + half, v)
        return
    square = np.empty(lanes.COUNT * lanes.COUNT, np.float32)
    for panel in range(first, last):
        for half in range(0, WIDTH, lanes.COUNT):
            left, start = panel * WIDTH + half, panel * WIDTH * k + half
            count = max(0, min(lanes.COUNT, n - left))
            whole = 0  # numbers of each column that are done
            if row == 1 and count > 0 and min(n, k) >= lanes.COUNT:
                whole, again = k, lanes.COUNT - count  # columns of the half before, turned again
                for q in range(0, k, lanes.COUNT):
                    p = min(q, k - lanes.COUNT)
                    for j in range(left + lanes.COUNT, left + 2 * lanes.COUNT):
                        lanes.expect(b, p + j * col)
                    to, at, step = panels, start + p * WIDTH, WIDTH
                    if again > 0:
                        to, at, step = square, 0, lanes.COUNT
                    lanes.transpose(b, p + (left - again) * col, col, to, at, step)
                    if again > 0:
                        for i in range(lanes.COUNT):
                            v = lanes.load_part(square, i * lanes.COUNT + again, count)
                            lanes.store(panels, start + (p + i) * WIDTH, v)
            for p in range(whole, k):
                lanes.store(panels, start + p * WIDTH, lanes.zeros())
                for j in range(count):
                    panels[start + p * WIDTH + j] = b[p * row + (left + j) * col]


@kernel
def tile(of, a, i, row, col, panels, j, k, y, at, y_row, skip, columns, mode, bias, bias_at):
    """One tile of y: its sums begin, run over k and end in registers."""
    registers.expect(of, y, at, y_row)
    block = registers.zeros(of, y)
    for p in range(k):
        block = registers.outer(block, a, i + p * col, row, panels, j + p * WIDTH)
    if mode == BIAS or mode == BIAS_ADD:
        block = registers.add_row(block, bias, bias_at, columns)
    if mode == ADD or mode == BIAS_ADD:
        block = registers.add(block, y, at, y_row, skip, columns)
    registers.write(block, y, at, y_row, skip, columns)


@kernel
def column_of_tiles(
    a, row, col, top, bottom, panels, j, k, y, at, y_row, columns, mode, bias, left
):
    """y[at + i·y_row + …] for rows top … bottom - 1 of one panel.

    The last tile ends with the last row, so that it reads rows there are; those that the tile
    before has done it leaves alone (`skip`).
    """
    i = top
    while i < bottom:
        rest = bottom - i
        even = rest % MIDDLE == 0 and rest <= 4 * MIDDLE  # better than a low tile at the end
        if bottom >= TALL and rest > MIDDLE + LOW and not even:
            first = min(i, bottom - TALL)
            tile(
                registers.shape(TALL, VECTORS), a, first * row, row, col, panels, j, k,
                y, at + first * y_row, y_row, i - first, columns, mode, bias, left,
            )  # fmt: skip
            i = first + TALL
        elif bottom >= MIDDLE and rest > LOW:
            first = min(i, bottom - MIDDLE)
            tile(
                registers.shape(MIDDLE, VECTORS), a, first * row, row, col, panels, j, k,
                y, at + first * y_row, y_row, i - first, columns, mode, bias, left,
            )  # fmt: skip
            i = first + MIDDLE
        elif bottom >= LOW:
            first = min(i, bottom - LOW)
            tile(
                registers.shape(LOW, VECTORS), a, first * row, row, col, panels, j, k,
                y, at + first * y_row, y_row, i - first, columns, mode, bias, left,
            )  # fmt: skip
            i = first + LOW
        else:
            tile(
                registers.shape(1, VECTORS), a, i * row, row, col, panels, j, k,
                y, at + i * y_row, y_row, 0, columns, mode, bias, left,
            )  # fmt: skip
            i += 1


@kernel(apart="fiifiifiiiiiif")  # many others call it: see Kernel.apart
def product(
    a, row, col, panels, k, n, y, y_row, rows_from, rows_to, panels_from, panels_to, mode, bias
):
    """y[i·y_row + j] = Σ_p a[i·row + p·col] · b[p, j] for these rows and panels of b.

    mode PLAIN as said, BIAS with bias[j] added, ADD added to what y holds, BIAS_ADD both. `bias` is
    read in the modes that name it; any float32 array will do otherwise. Where a is read often and
    lies badly (long rows, or columns), its block is first copied into panels of its own (`near`).
    """
    copied = rows_to - rows_from > FEW and panels_to - panels_from >= 4 and (k > 512 or col != 1)
    group = WIDTH if copied else BLOCK
    near = np.empty(min(DEPTH, k) * BLOCK if copied else 0, np.float32)
    for p in range(0, max(k, 1), DEPTH):
        depth, how = min(DEPTH, k - p), ADD if p > 0 else mode
        part, step, across, start = a[p * col :], row, col, 0
        for top in range(rows_from, rows_to, BLOCK):
            bottom = min(top + BLOCK, rows_to)
            if copied:
                tops = (bottom - top + WIDTH - 1) // WIDTH
                pack(a[top * row + p * col :], col, row, depth, bottom - top, near, 0, tops)
            for panel in range(panels_from, panels_to):
                left = panel * WIDTH
                for i in range(top, bottom, group):
                    first, last = i, min(i + group, bottom)
                    if copied:
                        part, step, across, start = near[(i - top) * depth :], 1, WIDTH, i * y_row
                        first, last = 0, last - i
                    column_of_tiles(
                        part, step, across, first, last, panels, left * k + p * WIDTH, depth,
                        y, start + left, y_row, min(WIDTH, n - left), how, bias, left,
                    )  # fmt: skip


@kernel
def sweep(
    a, panels, k, n, y, at, y_row, rows, panels_from, panels_to, depth_from, depth, mode, bias
):
    """Rows 0 … rows - 1 of y, at y[at], from a in panels of its own: groups of WIDTH rows, `depth`
    long. Of the panels of b, k long, the part from `depth_from` is read. Any kind of element."""
    for panel in range(panels_from, panels_to):
        left = panel * WIDTH
        for i in range(0, rows, WIDTH):
            column_of_tiles(
                a[i * depth :], 1, WIDTH, 0, min(WIDTH, rows - i),
                panels, left * k + depth_from * WIDTH, depth,
                y, at + i * y_row + left, y_row, min(WIDTH, n - left), mode, bias, left,
            )  # fmt: skip
