"""Products with a matrix that is packed once: y = a · c (+ bias), divided over the threads.

    times_c = Packed(c, "bf16")      c [k, n], float32; or "int8", "float32"
    y = times_c(a)                   a [m, k] → y [m, n], float32

First the rows of a are narrowed, each once and where they lie (`descent.ops.bf16`, `int8`); then
threads take panels of c, 32 columns, and multiply them with blocks of rows. Both are phases of one
list of works per width, which every product of that width goes through: the threads that share it
stay awake from one product to the next (`descent.kernel.crew`).
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from descent.kernel import Kernel, compiling, kernel, places
from descent.kernel.phases import Phases, Units
from descent.ops import amx, amx_trial, bf16, int8, tiles
from descent.ops.decoding import variant
from descent.ops.tiled import flat
from descent.ops.tiles import ADD, BIAS, DEPTH, PLAIN, TALL, WIDTH, column_of_tiles
from descent.threads import n_threads

__all__ = ["Packed"]

Array = np.ndarray
# The sizes: rows, units of the product, k, n, int32 from one narrow row to the next, tiles' mode,
# panels to a unit.
ROWS, UNITS, K, N, ROW, MODE, GROUP = range(7)
# The operands, by their addresses.
A, NEAR, NEAR_SCALES, PANELS, SCALES, OFFSETS, Y, ADDED = range(8)
BLOCK = 8 * TALL  # rows that stay in the second cache while panels go by
LINE = 16  # int32 of a line of the caches
ALONE = 2_000_000  # operations below which one thread is sooner done
narrow_pairs, narrow_bytes = bf16.narrow_row, int8.narrow_row
scale, multiply_bytes = int8.scale, amx.product_of_bytes


@kernel
def part(u, sizes):
    """Unit u of y: its rows and its panels, each from and to. Panels first, then blocks of rows."""
    count = (sizes[N] + WIDTH - 1) // WIDTH
    groups = (count + sizes[GROUP] - 1) // sizes[GROUP]
    top, first = u // groups * BLOCK, u % groups * sizes[GROUP]
    return top, min(top + BLOCK, sizes[ROWS]), first, min(first + sizes[GROUP], count)


@kernel
def narrow_to_pairs(lo, hi, frame, me):
    """Rows lo … hi of a as bf16. Every work has the frame: sizes, operands."""
    sizes, operands = places.int64(frame, 0), places.int64(frame, 1)
    a, near = places.floats(operands[A]), places.words(operands[NEAR])
    for i in range(lo, hi):
        narrow_pairs(a, i * sizes[K], sizes[K], near, i * sizes[ROW])


@kernel
def narrow_to_bytes(lo, hi, frame, me):
    """Rows lo … hi of a as bytes, and their scales."""
    sizes, operands = places.int64(frame, 0), places.int64(frame, 1)
    a, near = places.floats(operands[A]), places.octets(operands[NEAR])
    scales = places.floats(operands[NEAR_SCALES])
    for i in range(lo, hi):
        scales[i] = narrow_bytes(a, i * sizes[K], sizes[K], near, 4 * i * sizes[ROW])


@kernel
def pairs(lo, hi, frame, me):
    """Units lo … hi of y: a panel of one block of rows after the other."""
    sizes, operands = places.int64(frame, 0), places.int64(frame, 1)
    near, panels = places.words(operands[NEAR]), places.words(operands[PANELS])
    y, bias = places.floats(operands[Y]), places.floats(operands[ADDED])
    n, row, mode, words = sizes[N], sizes[ROW], sizes[MODE], (sizes[K] + 1) // 2
    for u in range(lo, hi):
        top, bottom, panel, _ = part(u, sizes)
        left = panel * WIDTH
        for p in range(0, max(words, 1), DEPTH):
            column_of_tiles(
                near[top * row + p :], row, 1, 0, bottom - top,
                panels, left * words + p * WIDTH, min(DEPTH, words - p),
                y, top * n + left, n, min(WIDTH, n - left), ADD if p > 0 else mode, bias, left,
            )  # fmt: skip


@kernel
def bytes_(lo, hi, frame, me):
    """The same of bytes: whole sums, then scales."""
    sizes, operands = places.int64(frame, 0), places.int64(frame, 1)
    near, panels = places.words(operands[NEAR]), places.words(operands[PANELS])
    s, t = places.floats(operands[NEAR_SCALES]), places.floats(operands[SCALES])
    offsets = places.words(operands[OFFSETS])
    y, bias = places.floats(operands[Y]), places.floats(operands[ADDED])
    n, row, mode, words = sizes[N], sizes[ROW], sizes[MODE], (sizes[K] + 3) // 4
    sums = np.empty(BLOCK * WIDTH, np.int32)
    for u in range(lo, hi):
        top, bottom, panel, _ = part(u, sizes)
        left, rows = panel * WIDTH, bottom - top
        column_of_tiles(
            near[top * row :], row, 1, 0, rows, panels, left * words, words,
            sums, 0, WIDTH, WIDTH, BIAS, offsets, left,
        )  # fmt: skip
        scale(sums, y, top * n, n, rows, n, left, min(WIDTH, n - left), s[top:], t, mode, bias)


def multiply(*arguments):
    """Stands for a product that reads a as it is."""
    raise NotImplementedError


def numbers(address):
    """Stands for how its panels are read."""
    raise NotImplementedError


def blocks(lo, hi, frame, me):
    """Units of y, GROUP panels of a block of rows each."""
    sizes, operands = places.int64(frame, 0), places.int64(frame, 1)
    a, panels = places.floats(operands[A]), numbers(operands[PANELS])
    y, bias = places.floats(operands[Y]), places.floats(operands[ADDED])
    k, n, mode = sizes[K], sizes[N], sizes[MODE]
    for u in range(lo, hi):
        multiply(a, k, 1, panels, k, n, y, n, *part(u, sizes), mode, bias)


floats = variant(blocks, multiply=tiles.product, numbers=places.floats)
pairs_on_amx = variant(blocks, multiply=amx.product, numbers=places.words)


@kernel
def bytes_on_amx(lo, hi, frame, me):
    """The same of bytes."""
    sizes, operands = places.int64(frame, 0), places.int64(frame, 1)
    a, panels = places.floats(operands[A]), places.words(operands[PANELS])
    t, offsets = places.floats(operands[SCALES]), places.words(operands[OFFSETS])
    y, bias = places.floats(operands[Y]), places.floats(operands[ADDED])
    k, n, mode = sizes[K], sizes[N], sizes[MODE]
    for u in range(lo, hi):
        multiply_bytes(a, k, 1, panels, t, offsets, k, n, y, n, *part(u, sizes), mode, bias)


class _Width(NamedTuple):
    """How products of a width are done."""

    pack: Kernel
    size: Callable[[int, int], int]  # of the panels
    kind: type  # of their elements
    per_word: int  # numbers to an element
    narrow: Kernel | None  # what is done to a's rows first, if anything
    multiply: Kernel


def _width(name: str) -> _Width:
    on_amx = name != "float32" and amx_trial.usable()
    if name == "float32":
        return _Width(tiles.pack, tiles.panels_size, np.float32, 1, None, floats)
    if name == "bf16":
        works = (None, pairs_on_amx) if on_amx else (narrow_to_pairs, pairs)
        return _Width(bf16.pack, bf16.panels_size, np.int32, 2, *works)
    if name == "int8":
        works = (None, bytes_on_amx) if on_amx else (narrow_to_bytes, bytes_)
        return _Width(int8.pack, int8.panels_size, np.int32, 4, *works)
    raise ValueError(f'no products of width {name!r}; there are "float32", "bf16" and "int8"')


class _Crew:
    """The works of one width, and the arrays that they find their numbers in."""

    def __init__(self, width: _Width) -> None:
        self.lock = threading.Lock()
        self.phases = Phases(GROUP + 1, slabs=16)
        self.operands: Array = np.zeros(ADDED + 1, np.int64 if compiling() else object)
        if width.narrow is not None:
            self.phases.add(width.narrow, Units(0, 1, ROWS), [self.operands])
        self.phases.add(width.multiply, Units(0, 1, UNITS), [self.operands])
        self.phases.close()
        self.near = np.zeros(0, np.int32), np.zeros(0, np.float32)
        self.near_at = [0, 0]

    def room(self, rows: int, row: int) -> None:
        """See to it that so many narrow rows have a place, and their scales."""
        words, scales = self.near
        if len(words) < rows * row or len(scales) < rows:
            sizes = max(len(words), rows * row), max(len(scales), rows)
            self.near = np.empty(sizes[0], np.int32), np.empty(sizes[1], np.float32)
            self.near_at = [_address(x) for x in self.near]


@functools.cache
def _crew(name: str, compiled: bool, pid: int) -> _Crew:
    return _Crew(_width(name))


class Packed:
    """A matrix c [k, n], packed at a width, which others are multiplied with.

    Args:
        c: float32, in any layout; it is copied.
        width: "float32", "bf16" (both sides rounded, sums float32) or "int8" (a scale for each
            column of c and each row of what it is multiplied with; sums exact).

    Results do not depend on the number of threads. One product of a width is done at a time: a
    second thread's waits, since both would want all processors.
    """

    def __init__(self, c: Array, width: str) -> None:
        if c.ndim != 2 or c.dtype != np.float32:
            raise ValueError(f"a float32 matrix [k, n] is packed, not {c.dtype} {c.shape}")
        how = _width(width)
        (self.k, self.n), self.width = c.shape, width
        line, row, col = flat(c)
        panels, none = -(-self.n // WIDTH), np.empty(0, np.float32)
        self._weight = [np.empty(how.size(self.k, self.n), how.kind), none, none]
        if width == "int8":
            self._weight[1:] = (np.empty(panels * WIDTH, kind) for kind in (np.float32, np.int32))
            how.pack(line, row, col, self.k, self.n, *self._weight, 0, panels, False)
        else:
            how.pack(line, row, col, self.k, self.n, self._weight[0], 0, panels)
        self._weight_at = [_address(x) for x in self._weight]
        self._group = 1 if how.narrow else max(1, min(8, panels // (4 * n_threads())))
        self._units = -(-panels // self._group)
        self._row = _row(self.k, how.per_word) if how.narrow else 0

    def __call__(self, a: Array, bias: Array | None = None, out: Array | None = None) -> Array:
        """a [m, k] · c (+ bias [n]) → [m, n], in `out` if that is given; all float32."""
        if a.ndim != 2 or a.shape[1] != self.k or a.dtype != np.float32:
            raise ValueError(f"float32 [m, {self.k}] is needed, not {a.dtype} {a.shape}")
        if bias is not None and (bias.shape != (self.n,) or bias.dtype != np.float32):
            raise ValueError(f"the bias is float32 [{self.n}], not {bias.dtype} {bias.shape}")
        m, a = len(a), np.ascontiguousarray(a)
        y = np.empty((m, self.n), np.float32) if out is None else out
        if y.shape != (m, self.n) or y.dtype != np.float32 or not y.flags.c_contiguous:
            raise ValueError(
                f"out is float32 [{m}, {self.n}], row after row; not {y.dtype} {y.shape}"
            )
        if out is not None and (np.may_share_memory(out, a) or not out.flags.writeable):
            raise ValueError("out is written while a is read: it needs memory of its own")
        if not y.size:
            return y
        mode, added = (PLAIN, a) if bias is None else (BIAS, np.ascontiguousarray(bias))
        units = self._units * -(-m // BLOCK)
        compiled = compiling()
        crew = _crew(self.width, compiled, os.getpid())
        with crew.lock:
            crew.phases.sizes[:] = m, units, self.k, self.n, self._row, mode, self._group
            crew.room(m, self._row)
            if compiled:
                at = _address(a)
                crew.operands[:] = (
                    at, *crew.near_at, *self._weight_at, _address(y),
                    at if bias is None else _address(added),
                )  # fmt: skip
            else:
                for i, x in enumerate((a, *crew.near, *self._weight, y, added)):
                    crew.operands[i] = x.reshape(-1)
            crew.phases.run(alone=2 * m * self.k * self.n < ALONE)
        return y


def _address(x: Array) -> int:
    return x.__array_interface__["data"][0]


def _row(k: int, per_word: int) -> int:
    """int32 from one narrow row to the next: whole lines, an odd number of them, so that a column
    of rows does not fall into one corner of the cache."""
    return LINE * (-(-k // (LINE * per_word)) | 1)
