"""Products with weights of 8 or 4 bits: exact sums of bytes, and a scale per block of a column.

    y[r, j] = Σ_blocks s[r, b] · t[b, j] · Σ_{p in b} q[r, p] · (u[p, j] − m)
    t = max |w| / 127, m = 128       8 bits, a block is 32, 64 or 128 numbers
    t = w of largest size / −8, m = 8        4 bits, a block is 32 numbers; GGML's Q4_0
    s = max |a| / 127, q = round(a / s)      what is multiplied, quantised as it comes

Weights are stored unsigned (u), because the processor's unit (AVX-512 VNNI) takes one side so; the
sum then starts at −m Σ q (`starts`), a number per row and block. Scales are float16, so blocks of
32 hold what GGUF's Q8_0 and Q4_0 hold, and packing such numbers again loses nothing.

A panel is 32 columns; of each block it has their scales, then the numbers, four (eight half bytes)
of a column to a word: one stream. T. Dettmers et al., arXiv:2208.07339. Works: see `decoding`.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import kernel, lanes, narrow, places, processor, registers
from descent.ops import tiles
from descent.ops.decoding import ROWS, spot, variant
from descent.ops.tiles import ADD, BIAS, BIAS_ADD, VECTORS, WIDTH

__all__ = [
    "BYTES", "NIBBLES", "pack_bytes", "pack_nibbles", "product_bytes", "product_nibbles",
    "quantise_columns", "quantise_rows", "words_of",
]  # fmt: skip

BYTES, NIBBLES = 128, 8  # m, by which a width is known
RUN = 32  # numbers multiplied at a time: eight words of bytes
HALF = WIDTH // 2  # words that the float16 scales of a panel take
# Rows of the tiles. 8 is more sums than there are registers, yet better than 6 and 2 where that is
# all: a second tile reads the panel again.
EIGHT, MOST, FEWER, FEWEST = {16: (8, 6, 4, 2), 8: (2, 2, 2, 2), 4: (1, 1, 1, 1)}[
    processor.vector_floats()
]
ZERO, ONE, LARGEST = np.float32(0), np.float32(1), np.float32(127)
LOW, TOP = np.float32(-8), np.float32(7)
pack_floats = tiles.pack


def words_of(k, n, block, offset):
    """int32 words that the panels of w [n, k] take."""
    numbers = block // 4 if offset == BYTES else block // 8
    return -(-k // block) * (HALF + WIDTH * numbers) * -(-n // WIDTH)


# -- what is multiplied: quantised row by row ------------------------------------------------------


@kernel
def quantise_block(x, at, n, q, to, size, m):
    """q[to …] = round(x[at …] / s), n numbers and zeros up to `size`; s, and −m · Σ q."""
    most, total = lanes.zeros(), narrow.fill(np.int32(0))
    for i in range(0, n, lanes.COUNT):
        v = lanes.load_part(x, at + i, min(lanes.COUNT, n - i))
        most = lanes.maximum(most, lanes.maximum(v, lanes.zeros() - v))
    largest = lanes.largest(most)
    factor = lanes.fill(LARGEST / largest if largest > ZERO else ZERO)
    for i in range(0, size, lanes.COUNT):
        v = lanes.load_part(x, at + i, max(0, min(lanes.COUNT, n - i)))
        number = narrow.rounded(v * factor)
        narrow.put_bytes(q, to + i, number)
        total = total + number
    return largest / LARGEST, lanes.total(total) * -m


@kernel
def quantise_rows(lo, hi, frame, me):
    """Units: rows, each in `pieces` parts. Frame: sizes, [k, block, pieces, m], x, q, s, starts."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    x, q = places.float32(frame, 2), places.uint8(frame, 3)
    s, starts = places.float32(frame, 4), places.int32(frame, 5)
    k, block, pieces, m = shape[0], shape[1], shape[2], shape[3]
    blocks = (k + block - 1) // block
    for u in range(lo, hi):
        r, piece = spot(u, pieces, sizes[ROWS])
        for b in range(blocks * piece // pieces, blocks * (piece + 1) // pieces):
            n, to = min(block, k - b * block), r * blocks + b
            s[to], starts[to] = quantise_block(x, r * k + b * block, n, q, to * block, block, m)


@kernel
def quantise_columns(lo, hi, frame, me):
    """The same, `pieces` units in all, each a part of every row."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    x, q = places.float32(frame, 2), places.uint8(frame, 3)
    s, starts = places.float32(frame, 4), places.int32(frame, 5)
    k, block, pieces, m = shape[0], shape[1], shape[2], shape[3]
    blocks = (k + block - 1) // block
    for r in range(sizes[ROWS]):
        for b in range(blocks * lo // pieces, blocks * hi // pieces):
            n, to = min(block, k - b * block), r * blocks + b
            s[to], starts[to] = quantise_block(x, r * k + b * block, n, q, to * block, block, m)


# -- weights ---------------------------------------------------------------------------------------


@kernel
def pack_bytes(b, row, col, k, n, block, panels, first, last):
    """Panels first … last - 1 of the float32 matrix b[p·row + j·col], 8 bits a number."""
    blocks, stride = (k + block - 1) // block, HALF + WIDTH * (block // 4)
    piece = np.empty(block * WIDTH, np.float32)
    halves = panels.view(np.uint16)
    for panel in range(first, last):
        left = panel * WIDTH
        for g in range(blocks):
            at = (panel * blocks + g) * stride
            take(b, row, col, g * block, min(block, k - g * block), left, n, piece)
            for j in range(0, WIDTH, lanes.COUNT):
                most = lanes.zeros()
                for p in range(block):
                    v = lanes.load(piece, p * WIDTH + j)
                    most = lanes.maximum(most, lanes.maximum(v, lanes.zeros() - v))
                unit = scale_of(most * lanes.fill(ONE / LARGEST), halves, 2 * at + j)
                for p in range(0, block, 4):
                    word = narrow.quad(
                        byte(piece, p * WIDTH + j, unit), byte(piece, (p + 1) * WIDTH + j, unit),
                        byte(piece, (p + 2) * WIDTH + j, unit),
                        byte(piece, (p + 3) * WIDTH + j, unit),
                    )  # fmt: skip
                    lanes.store(panels, at + HALF + p // 4 * WIDTH + j, word)


@kernel
def take(b, row, col, p, depth, left, n, piece):
    """`depth` rows of the 32 columns from `left` on, from b's row p; the rest of piece 0."""
    pack_floats(b[p * row + left * col :], row, col, depth, min(WIDTH, n - left), piece, 0, 1)
    piece[depth * WIDTH :] = 0


@kernel
def scale_of(unit, halves, at):
    """Keep the units of 16 columns as float16; 1 / what was kept, 0 for 0."""
    narrow.write(halves, at, unit)
    kept, none, one = narrow.widened(halves, at), lanes.zeros(), lanes.fill(ONE)
    something = lanes.where_less(none, kept * kept, kept, one)
    return lanes.where_less(none, kept * kept, one / something, none)


@kernel
def byte(piece, i, unit):
    """round(w / t) + 128 of 16 columns; `unit` is 1 / t."""
    v = lanes.maximum(lanes.load(piece, i) * unit, lanes.fill(-LARGEST))
    v = lanes.where_less(lanes.fill(LARGEST), v, lanes.fill(LARGEST), v)
    return narrow.rounded(v) + narrow.fill(np.int32(128))


@kernel
def nibble(piece, i, unit):
    """round(w / t) + 8 of 16 columns."""
    v = lanes.maximum(lanes.load(piece, i) * unit, lanes.fill(LOW))
    v = lanes.where_less(lanes.fill(TOP), v, lanes.fill(TOP), v)
    return narrow.rounded(v) + narrow.fill(np.int32(8))


@kernel
def pack_nibbles(b, row, col, k, n, block, panels, first, last):
    """Panels first … last - 1 of the float32 matrix b[p·row + j·col], 4 bits a number.

    Of a few scales that with the least squared error is taken: a block's largest number need not
    be met exactly. Where it is met by numbers that were 4 bits before, the error is 0.
    """
    blocks, stride = (k + block - 1) // block, HALF + WIDTH * (block // 8)
    piece, trial = np.empty(block * WIDTH, np.float32), np.empty(WIDTH, np.uint16)
    halves = panels.view(np.uint16)
    for panel in range(first, last):
        left = panel * WIDTH
        for g in range(blocks):
            at = (panel * blocks + g) * stride
            take(b, row, col, g * block, min(block, k - g * block), left, n, piece)
            for j in range(0, WIDTH, lanes.COUNT):
                most, signed = lanes.zeros(), lanes.zeros()
                for p in range(block):
                    v = lanes.load(piece, p * WIDTH + j)
                    size = lanes.maximum(v, lanes.zeros() - v)
                    signed = lanes.where_less(most, size, v, signed)
                    most = lanes.maximum(most, size)
                best, least = lanes.zeros(), lanes.fill(np.float32(np.inf))
                for c in range(TRIALS.size):
                    unit = signed * lanes.splat(TRIALS, c)
                    factor = scale_of(unit, trial, 0)
                    kept, error = narrow.widened(trial, 0), lanes.zeros()
                    for p in range(block):
                        q = nibble(piece, p * WIDTH + j, factor) - narrow.fill(np.int32(8))
                        e = lanes.load(piece, p * WIDTH + j) - narrow.floats(q) * kept
                        error = lanes.fma(e, e, error)
                    best = lanes.where_less(error, least, kept, best)
                    least = lanes.where_less(error, least, error, least)
                factor = scale_of(best, halves, 2 * at + j)
                for p in range(0, block, 8):
                    w, to = p * WIDTH + j, at + HALF + p // 8 * WIDTH + j
                    low = narrow.quad(
                        nibble(piece, w, factor), nibble(piece, w + WIDTH, factor),
                        nibble(piece, w + 2 * WIDTH, factor), nibble(piece, w + 3 * WIDTH, factor),
                    )  # fmt: skip
                    w += 4 * WIDTH
                    high = narrow.quad(
                        nibble(piece, w, factor), nibble(piece, w + WIDTH, factor),
                        nibble(piece, w + 2 * WIDTH, factor), nibble(piece, w + 3 * WIDTH, factor),
                    )  # fmt: skip
                    lanes.store(panels, to, low + high * narrow.fill(np.int32(16)))


TRIALS = (np.array([1, 0.7, 0.8, 0.86, 0.92, 1.06, 1.12], np.float32) / -8).astype(np.float32)


# -- products --------------------------------------------------------------------------------------


@kernel
def finish(total, y, at, y_row, columns, mode, bias, left):
    """What becomes of a tile's sums."""
    if mode == BIAS or mode == BIAS_ADD:
        total = registers.add_row(total, bias, left, columns)
    if mode == ADD or mode == BIAS_ADD:
        total = registers.add(total, y, at, y_row, 0, columns)
    registers.write(total, y, at, y_row, 0, columns)


@kernel
def tile_bytes(
    of, q, s, starts, r, blocks, runs, panels, j, y, at, y_row, columns, mode, bias, left
):
    """One tile: rows from r on of one panel, which begins at panels[j]."""
    total, word = registers.zeros(of, y), r * blocks * runs * 8
    for b in range(blocks):
        sums = registers.fill(of, starts, r * blocks + b, blocks)
        for run in range(runs):
            here = j + HALF + run * 8 * WIDTH
            sums = registers.outer_bytes(sums, q, word, blocks * runs * 8, panels, here)
            word += 8
        total = registers.add_scaled(total, sums, s, r * blocks + b, blocks, panels, j)
        j += HALF + runs * 8 * WIDTH
    finish(total, y, at, y_row, columns, mode, bias, left)


@kernel
def tile_nibbles(
    of, q, s, starts, r, blocks, runs, panels, j, y, at, y_row, columns, mode, bias, left
):
    """The same for half bytes."""
    total, word = registers.zeros(of, y), r * blocks * runs * 8
    for b in range(blocks):
        sums = registers.fill(of, starts, r * blocks + b, blocks)
        for run in range(runs):
            here = j + HALF + run * 4 * WIDTH
            sums = registers.outer_nibbles(sums, q, word, blocks * runs * 8, panels, here)
            word += 8
        total = registers.add_scaled(total, sums, s, r * blocks + b, blocks, panels, j)
        j += HALF + runs * 4 * WIDTH
    finish(total, y, at, y_row, columns, mode, bias, left)


def tile(*arguments):
    """Stands for one of the two."""
    raise NotImplementedError


def sweep(lo, hi, frame, me):
    """Panels lo … hi of all rows. Frame: sizes, [k, n, y's row, mode, which size, block, words of
    a panel], q, panels, y, bias, s, starts."""
    sizes, shape = places.int64(frame, 0), places.int64(frame, 1)
    q, panels = places.int32(frame, 2), places.int32(frame, 3)
    y, bias = places.float32(frame, 4), places.float32(frame, 5)
    s, starts = places.float32(frame, 6), places.int32(frame, 7)
    k, n, y_row, mode, rows, block = (
        shape[0],
        shape[1],
        shape[2],
        shape[3],
        sizes[shape[4]],
        shape[5],
    )
    blocks, runs = (k + block - 1) // block, block // RUN
    for panel in range(lo, hi):
        left, j, r = panel * WIDTH, panel * shape[6], 0
        columns = min(WIDTH, n - left)
        while r < rows:
            at, rest = r * y_row + left, rows - r
            if rest == EIGHT or rest == 2 * EIGHT:
                tile(registers.shape(EIGHT, VECTORS), q, s, starts, r, blocks, runs, panels, j,
                     y, at, y_row, columns, mode, bias, left)  # fmt: skip
                r += EIGHT
            elif rest >= MOST:
                tile(registers.shape(MOST, VECTORS), q, s, starts, r, blocks, runs, panels, j,
                     y, at, y_row, columns, mode, bias, left)  # fmt: skip
                r += MOST
            elif rest >= FEWER:
                tile(registers.shape(FEWER, VECTORS), q, s, starts, r, blocks, runs, panels, j,
                     y, at, y_row, columns, mode, bias, left)  # fmt: skip
                r += FEWER
            elif rest >= FEWEST:
                tile(registers.shape(FEWEST, VECTORS), q, s, starts, r, blocks, runs, panels, j,
                     y, at, y_row, columns, mode, bias, left)  # fmt: skip
                r += FEWEST
            else:
                tile(registers.shape(1, VECTORS), q, s, starts, r, blocks, runs, panels, j,
                     y, at, y_row, columns, mode, bias, left)  # fmt: skip
                r += 1


product_bytes = variant(sweep, tile=tile_bytes)
product_nibbles = variant(sweep, tile=tile_nibbles)
