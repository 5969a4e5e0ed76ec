"""Convolution without a matrix of windows: tiles that slide over the samples, in registers.

    y[o, s] = Σ_p Σ_q a[o, p, q] · x[p, s + at[q]]

For windows of stride 1 the q-th element of window s is at place s + at[q], if windows are counted
along the whole width of x; those that would wrap around its edge are computed and not kept. So a
tile reads x where it lies, shifted by at[q]: nothing is copied. The same sum does all three: the
convolution (p input channels), its gradient for x (p output channels, shifts reversed) and for w
(p rows of places, q places in a row). Flat float32 arrays and strides, as in `tiles`.

Georganas et al. 2018, arXiv:1808.05567, for the direct form; theirs needs another order of axes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from descent.kernel import kernel, lanes, processor, registers
from descent.ops.blocks import over_rows
from descent.ops.tiles import WIDTH, pack

__all__ = ["Grid", "convolve", "convolve_grad_w", "convolve_grad_x", "grid_of"]

# Rows of a tile: channels come in powers of two, so 8 and not the 14 there are registers for.
TALL, LOW = {16: (8, 4), 8: (6, 2), 4: (4, 1)}[processor.vector_floats()]
VECTORS = WIDTH // lanes.COUNT
DEPTH = 288  # terms of a sum taken at a time: what they read of x and a stays in the first cache


@kernel
def tile(of, a, i, row, a_p, a_q, x, j, x_p, at, n, y, to, y_row, skip, more):
    """y[to + r·y_row + c] = (what it holds if `more`) + the sum, for rows from `skip` on."""
    block = registers.zeros(of, y)
    for p in range(n):
        for q in range(at.size):
            block = registers.outer(block, a, i + p * a_p + q * a_q, row, x, j + p * x_p + at[q])
    if more:
        block = registers.add(block, y, to, y_row, skip, WIDTH)
    registers.write(block, y, to, y_row, skip, WIDTH)


@kernel
def tile_of(height, a, i, row, a_p, a_q, x, j, x_p, at, n, y, to, y_row, skip, more):
    """`tile` of one of the heights there are."""
    if height == TALL:
        of = registers.shape(TALL, VECTORS)
        tile(of, a, i, row, a_p, a_q, x, j, x_p, at, n, y, to, y_row, skip, more)
    elif height == LOW:
        of = registers.shape(LOW, VECTORS)
        tile(of, a, i, row, a_p, a_q, x, j, x_p, at, n, y, to, y_row, skip, more)
    else:
        of = registers.shape(1, VECTORS)
        tile(of, a, i, row, a_p, a_q, x, j, x_p, at, n, y, to, y_row, skip, more)


@kernel
def tile_rows(done, rows):
    """How many rows the tile that begins at row `done` does; it may have to begin earlier."""
    rest = rows - done
    if rest >= TALL or (rows >= TALL and rest > LOW):
        return TALL
    return LOW if rows >= LOW else 1


@kernel
def slide(a, a_size, x, x_from, x_p, at, n, y, rows, length, wide, keep, groups, start, stop):
    """Strips of WIDTH places of y, all rows; job j is strip j % strips of sample j // strips.

    Places are counted along rows `wide` long, of which y keeps the first `keep`. `a` holds a_size
    numbers a group, in the order `in_tiles` makes.
    """
    strips = (length + WIDTH - 1) // WIDTH
    size = (length + wide - 1) // wide * keep
    some = max(1, DEPTH // at.size)
    block = np.empty(rows * WIDTH, np.float32)
    for job in range(start, stop):
        sample = job // strips
        left = min(job % strips * WIDTH, length - WIDTH)
        source = x[sample * (x_p * n) :]
        for p in range(0, n, some):
            i, done, count = sample % groups * a_size, 0, min(some, n - p)
            while done < rows:
                height = tile_rows(done, rows)
                first = min(done, rows - height)
                skip = done - first  # rows that the tile before has done
                term = at.size * height
                tile_of(
                    height, a, i + p * term, 1, term, height,
                    source, x_from + left + p * x_p, x_p, at, count,
                    block, first * WIDTH, WIDTH, skip, p > 0,
                )  # fmt: skip
                done = first + height
                i += n * at.size * height
        keep_block(block, rows, left, wide, keep, y, sample * rows * size, size)


@kernel
def keep_block(block, height, left, wide, keep, y, to, size):
    """Copy what windows there are of places left … left + WIDTH - 1 to the rows of y."""
    for r in range(left // wide, (left + WIDTH - 1) // wide + 1):
        first = max(left, r * wide)
        last = min(left + WIDTH, r * wide + keep)
        for s in range(first, last, lanes.COUNT):
            n, at = min(lanes.COUNT, last - s), to + r * (keep - wide) + s
            for i in range(height):
                v = lanes.load_part(block, i * WIDTH + s - left, n)
                lanes.store_part(y, at + i * size, v, n)


@kernel
def correlate(
    a, row, x, wide, keep, lines, places, rows, y, samples, groups, at, columns, start, stop
):
    """y[g, k, o, c] = Σ over samples and windows s of a[o, s] · x[s + at[k], c], in panels of c.

    `x` holds panels [sample, panel, place, WIDTH]; job j is one group, one panel and one k.
    """
    panels = (columns + WIDTH - 1) // WIDTH
    inner = np.arange(keep) * WIDTH
    for job in range(start, stop):
        k, panel, g = job % at.size, job // at.size % panels, job // at.size // panels
        for sample in range(samples):
            entry = sample * groups + g
            weights = a[entry * rows * row :]
            source = x[(entry * panels + panel) * places * WIDTH :]
            done = 0
            while done < rows:
                rest = rows - done
                height = TALL if rest >= TALL else LOW if rest >= LOW else 1
                tile_of(
                    height, weights, done * row, row, keep, 1, source, at[k] * WIDTH, wide * WIDTH,
                    inner, lines, y, (job * rows + done) * WIDTH, WIDTH, 0, sample > 0,
                )  # fmt: skip
                done += height


class Grid(NamedTuple):
    """Windows of stride 1: `lines` rows of `keep` windows on places `wide` a row."""

    wide: int
    keep: int
    lines: int
    at: np.ndarray  # where the elements of a window are, from its first place

    @property
    def length(self) -> int:
        """Places from the first window's to the last one's."""
        return (self.lines - 1) * self.wide + self.keep


def grid_of(table: np.ndarray, places: int) -> Grid | None:
    """The grid that a table of places [window, element] describes; None if there is none."""
    corner, at = table[:, 0], table[0] - table[0, 0]
    jumps = np.flatnonzero(np.diff(corner) != 1)
    keep = int(jumps[0]) + 1 if jumps.size else len(corner)
    wide = int(corner[keep] - corner[0]) if jumps.size else keep
    lines = len(corner) // keep
    found = Grid(wide, keep, lines, at.astype(np.int64))
    if corner[0] != 0 or wide < keep or at.min() < 0 or found.length < WIDTH:
        return None
    if found.length + int(at.max()) > places or lines * wide > places:
        return None
    expected = (np.arange(lines)[:, None] * wide + np.arange(keep)).reshape(-1, 1) + at
    return found if np.array_equal(table, expected) else None


def in_tiles(a: np.ndarray) -> np.ndarray:
    """a [g, rows, n] in the order that tiles read it: for each tile, n columns of its rows."""
    g, rows, _ = a.shape
    parts, done = [], 0
    while done < rows:
        height = tile_rows.py(done, rows)
        first = min(done, rows - height)
        parts.append(a[:, first : first + height].swapaxes(1, 2).reshape(g, -1))
        done = first + height
    return np.concatenate(parts, 1)


def convolve(x: np.ndarray, w: np.ndarray, grid: Grid) -> np.ndarray:
    """y[b, g, o, s] from x [b, g, i, places] and w [g, o, i, k]."""
    b, g, i, places = x.shape
    o, k = w.shape[1], w.shape[3]
    y = np.empty((b, g, o, grid.lines * grid.keep), x.dtype)
    a = in_tiles(w.reshape(g, o, i * k))
    weights, source, out = _flat(a), _flat(x), y.reshape(-1)

    def part(jobs: slice) -> None:
        slide(
            weights, a.shape[1], source, 0, places, grid.at, i, out, o,
            grid.length, grid.wide, grid.keep, g, jobs.start, jobs.stop,
        )  # fmt: skip

    over_rows(part, b * g * -(-grid.length // WIDTH))
    return y


def convolve_grad_x(w: np.ndarray, dy: np.ndarray, grid: Grid, places: int) -> np.ndarray:
    """dx[b, g, i, places]: every place gathers from the windows it is in."""
    b, g, o, _ = dy.shape
    i, k = w.shape[2:]
    margin = int(grid.at.max())
    spread = np.zeros((b * g * o, margin + places), dy.dtype)  # dy where its windows begin
    row, item = spread.strides
    lines = np.lib.stride_tricks.as_strided(
        spread[:, margin:], (b * g * o, grid.lines, grid.keep), (row, grid.wide * item, item)
    )
    lines[...] = dy.reshape(lines.shape)
    dx = np.empty((b, g, i, places), dy.dtype)
    a = in_tiles(w.swapaxes(1, 2).reshape(g, i, o * k))
    weights, source, out, back = _flat(a), spread.reshape(-1), dx.reshape(-1), -grid.at

    def part(jobs: slice) -> None:
        slide(
            weights, a.shape[1], source, margin, margin + places, back, o, out, i,
            places, places, places, g, jobs.start, jobs.stop,
        )  # fmt: skip

    over_rows(part, b * g * -(-places // WIDTH))
    return dx


def convolve_grad_w(x: np.ndarray, dy: np.ndarray, grid: Grid) -> np.ndarray:
    """dw[g, o, i, k]: input channels become columns, panels of WIDTH of them."""
    b, g, i, places = x.shape
    o, k, panels = dy.shape[2], len(grid.at), -(-i // WIDTH)
    source, a, size = _flat(x), _flat(dy), panels * places * WIDTH
    columns = np.empty(b * g * size, x.dtype)

    def turn(entries: slice) -> None:
        for e in range(entries.start, entries.stop):
            pack(source[e * i * places :], 1, places, places, i, columns[e * size :], 0, panels)

    over_rows(turn, b * g)
    sums = np.empty((g, panels, k, o, WIDTH), x.dtype)
    out = sums.reshape(-1)

    def part(jobs: slice) -> None:
        correlate(
            a, dy.shape[3], columns, grid.wide, grid.keep, grid.lines, places, o, out,
            b, g, grid.at, i, jobs.start, jobs.stop,
        )  # fmt: skip

    over_rows(part, g * panels * k)
    return sums.transpose(0, 3, 1, 4, 2).reshape(g, o, panels * WIDTH, k)[:, :, :i].copy()


def _flat(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1)
