"""Weight matrices packed for streaming, and how each is multiplied in a list of works.

| width | a weight | what it is multiplied with |
|---|---|---|
| float32 | float32 | float32 |
| bf16 | the upper half of a float32 | bf16, rounded as it comes |
| int8 | a byte; a float16 scale per block of 32 or 64 of a row | bytes, quantised likewise |
| int4 | half a byte; a float16 scale per block of 32 | bytes, quantised likewise |

Panels of 32 columns: `descent.ops.tiles`, `bf16`, `quantised`. Blocks of 32 are GGML's Q8_0 and
Q4_0: what a file holds in them is packed without loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise

import numpy as np

from descent.generate.decoder.parts import Source
from descent.kernel.phases import Phases, Units
from descent.ops import bf16, tiles
from descent.ops.quantised import (
    BYTES,
    NIBBLES,
    pack_bytes,
    pack_nibbles,
    product_bytes,
    product_nibbles,
    quantise_columns,
    quantise_rows,
    words_of,
)
from descent.ops.streamed import pair_columns, pair_rows, product_floats, product_pairs
from descent.ops.tiles import WIDTH
from descent.threads import n_threads, share

__all__ = ["Inputs", "Matrix", "block_of", "packed"]

Array = np.ndarray


def block_of(width: str, k: int, stored_in_blocks: bool = False) -> int:
    """Numbers of a row that share a scale (or, without scales, that are best kept together).

    Longer blocks are a little faster; but GPT-2's activations have a few huge numbers, and what
    shares a scale with one of these is lost.
    """
    return 64 if width == "int8" and not stored_in_blocks and k % 64 == 0 else 32


class Inputs:
    """What matrices multiply: rows of float32, and beside them the same rows narrowed."""

    def __init__(self) -> None:
        self._narrow: dict[tuple[int, int, int], list[Array]] = {}

    def of(self, x: Array, matrix: Matrix) -> list[Array]:
        """q, scales and starts for x [rows, k] (bf16: words alone; float32: x itself)."""
        if matrix.width == "float32":
            return [x]
        rows, k, block = len(x), matrix.k, matrix.block
        key = (x.__array_interface__["data"][0], k, block)
        if key not in self._narrow:
            if matrix.width == "bf16":
                self._narrow[key] = [np.zeros((rows, (k + 1) // 2), np.int32)]
            else:
                blocks = -(-k // block)
                q = np.zeros((rows, blocks * block // 4), np.int32)
                s = np.zeros((rows, blocks), np.float32)
                self._narrow[key] = [q, s, np.zeros((rows, blocks), np.int32)]
        return self._narrow[key]


class Matrix:
    """w [n, k] packed at one width, with its bias if it has one."""

    def __init__(self, rows: Array, bias: Array | None, width: str, block: int) -> None:
        self.n, self.k = rows.shape
        self.bias, self.width, self.block = bias, width, block
        self.offset = BYTES if width == "int8" else NIBBLES
        line, row, col = _flat(rows)
        sizes = (self.k, self.n)
        if width == "float32":
            self.panels = np.empty(tiles.panels_size(*sizes), np.float32)
            pack = partial(tiles.pack, line, row, col, *sizes, self.panels)
        elif width == "bf16":
            self.panels = np.empty(bf16.panels_size(*sizes), np.int32)
            pack = partial(bf16.pack, line, row, col, *sizes, self.panels)
        else:
            self.panels = np.empty(words_of(*sizes, block, self.offset), np.int32)
            kernel = pack_bytes if width == "int8" else pack_nibbles
            pack = partial(kernel, line, row, col, *sizes, block, self.panels)
        parts = min(self.n_panels, 4 * n_threads())
        edges = [self.n_panels * i // parts for i in range(parts + 1)]
        share([partial(pack, *edge) for edge in pairwise(edges)])

    @property
    def n_panels(self) -> int:
        return -(-self.n // WIDTH)

    @property
    def nbytes(self) -> int:
        return self.panels.nbytes

    def take(
        self, phases: Phases, inputs: Inputs, x: Array, units: Units, pieces: int = 1,
        *, columns: bool = False,
    ) -> None:  # fmt: skip
        """In the phase just begun, which writes x: narrow what was written.

        Args:
            units: those of the work that writes x.
            pieces: into how many of them a row is divided, at borders of blocks; or, `columns`,
                how many there are in all, each a part of every row.
        """
        if self.width == "float32":
            return
        arrays = inputs.of(x, self)
        if self.width == "bf16":
            shape = np.array([self.k, pieces], np.int64)
            phases.then(pair_columns if columns else pair_rows, units, [shape, x, *arrays])
            return
        shape = np.array([self.k, self.block, pieces, self.offset], np.int64)
        q, s, starts = arrays
        work = quantise_columns if columns else quantise_rows
        phases.then(work, units, [shape, x, q.view(np.uint8), s, starts])

    def multiply(
        self, phases: Phases, inputs: Inputs, x: Array, y: Array, size: int,
        *, add: bool = False, common: int = 0,
    ) -> int:  # fmt: skip
        """Begin a phase: y [rows, n] = (y +) x [rows, k] · wᵀ (+ bias), sizes[size] rows; returns
        the work's number (y is slot 4 of its frame)."""
        mode = (tiles.ADD if add else 0) + (0 if self.bias is None else tiles.BIAS)
        bias = x.reshape(-1)[:1] if self.bias is None else self.bias
        units = Units(self.n_panels, common=common)
        shape = [self.k, self.n, self.n, mode, size, self.block, self.nbytes // 4 // self.n_panels]
        first, *scales = inputs.of(x, self)
        works = {
            "float32": product_floats, "bf16": product_pairs,
            "int8": product_bytes, "int4": product_nibbles,
        }  # fmt: skip
        frame = [np.array(shape, np.int64), first, self.panels, y, bias, *scales]
        return phases.add(works[self.width], units, frame)


def packed(source: Source, names: Sequence[str], width: str, interleaved: int = 0) -> Matrix:
    """The modules of these names, one below the other, as one matrix.

    Args:
        interleaved: two modules in turn, so many rows of each (0: one after the other).
    """
    with ExitStack() as stack:
        parts = [stack.enter_context(source.once(f"{name}.weight")) for name in names]
        rows = _together(parts, interleaved)
        bias = None
        if any(f"{name}.bias" in source for name in names):
            found = [source.vector(f"{name}.bias", len(p)) for name, p in zip(names, parts)]
            bias = _together([b[:, None] for b in found], interleaved).reshape(-1)
        block = block_of(width, rows.shape[1], source.in_blocks(f"{names[0]}.weight"))
        return Matrix(rows, bias, width, block)


def _together(parts: Sequence[Array], interleaved: int) -> Array:
    if len(parts) == 1:
        return parts[0]
    if not interleaved:
        return np.concatenate(parts)
    n, k = parts[0].shape
    pieces = [p.reshape(n // interleaved, 1, interleaved, k) for p in parts]
    return np.concatenate(pieces, axis=1).reshape(len(parts) * n, k)


def _flat(w: Array) -> tuple[Array, int, int]:
    """The numbers of w [n, k] as one line, and the steps along k and along n."""
    if w.flags.f_contiguous and not w.flags.c_contiguous:  # stored the other way round
        return w.T.reshape(-1), w.shape[0], 1
    return np.ascontiguousarray(w).reshape(-1), 1, w.shape[1]
