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

from descent.kernel import kernel, lanes, processor, registers

__all__ = ["ADD", "BIAS", "PLAIN", "WIDTH", "pack", "panels_size", "product"]

# Rows of the tiles, and vectors of 16 columns: as many sums as there are registers for them.
TALL, MIDDLE, LOW, VECTORS = {16: (14, 8, 4, 2), 8: (6, 4, 2, 1), 4: (2, 2, 1, 1)}[
    processor.vector_floats()
]
WIDTH = lanes.COUNT * VECTORS
DEPTH = 384  # terms of a sum taken at a time: a panel of 48 kB
BLOCK = TALL * 24  # rows whose a (at most 0.5 MB) stays in the second cache meanwhile

PLAIN, BIAS, ADD = 0, 1, 2  # what becomes of a · b: y = a·b, y = a·b + bias, y += a·b


def panels_size(k, n):
    """How many float32 the panels of a k × n matrix take."""
    return k * ((n + WIDTH - 1) // WIDTH * WIDTH)


@kernel
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
def tile(of, a, i, row, col, rows, panels, j, k, y, at, y_row, columns, mode, bias, bias_at):
    """One tile of y: its sums begin, run over k and end in registers."""
    block = registers.zeros(of)
    for p in range(k):
        block = registers.outer(block, a, i + p * col, row, rows, panels, j + p * WIDTH)
    if mode == BIAS:
        block = registers.add_row(block, bias, bias_at, columns)
    if mode == ADD:
        block = registers.add(block, y, at, y_row, rows, columns)
    registers.write(block, y, at, y_row, rows, columns)


@kernel
def product(
    a, row, col, panels, k, n, y, y_row, rows_from, rows_to, panels_from, panels_to, mode, bias
):
    """y[i·y_row + j] = Σ_p a[i·row + p·col] · b[p, j] for these rows and panels of b.

    mode PLAIN as said, BIAS with bias[j] added, ADD added to what y holds. `bias` is read in mode
    BIAS alone; any float32 array will do otherwise.
    """
    tall = registers.shape(TALL, VECTORS)
    middle = registers.shape(MIDDLE, VECTORS)
    low = registers.shape(LOW, VECTORS)
    for p in range(0, max(k, 1), DEPTH):
        depth = min(DEPTH, k - p)
        if p > 0:
            mode = ADD
        for top in range(rows_from, rows_to, BLOCK):
            bottom = min(top + BLOCK, rows_to)
            for panel in range(panels_from, panels_to):
                left = panel * WIDTH
                columns = min(WIDTH, n - left)
                j = left * k + p * WIDTH
                i = top
                while i < bottom:
                    rest = bottom - i
                    start, at = i * row + p * col, i * y_row + left
                    if rest > MIDDLE + LOW:
                        rows = min(rest, TALL)
                        tile(
                            tall, a, start, row, col, rows, panels, j, depth,
                            y, at, y_row, columns, mode, bias, left,
                        )  # fmt: skip
                    elif rest > LOW:
                        rows = min(rest, MIDDLE)
                        tile(
                            middle, a, start, row, col, rows, panels, j, depth,
                            y, at, y_row, columns, mode, bias, left,
                        )  # fmt: skip
                    else:
                        rows = rest
                        tile(
                            low, a, start, row, col, rows, panels, j, depth,
                            y, at, y_row, columns, mode, bias, left,
                        )  # fmt: skip
                    i += rows
