"""Weight matrices packed for streaming, and how each is multiplied in a list of works.

`float32` panels of 32 columns; see `descent.ops.tiles` for how they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise

import numpy as np

from descent.generate.decoder.parts import Source
from descent.generate.decoder.phases import Phases, Units
from descent.ops import tiles
from descent.ops.streamed import product_floats
from descent.ops.tiles import WIDTH
from descent.threads import n_threads, share

__all__ = ["Matrix", "packed"]

Array = np.ndarray


class Matrix:
    """w [n, k] packed, with its bias if it has one."""

    def __init__(self, rows: Array, bias: Array | None) -> None:
        self.n, self.k = rows.shape
        self.bias = bias
        self.panels = np.empty(tiles.panels_size(self.k, self.n), np.float32)
        count = self.n_panels
        line, row, col = _flat(rows)
        edges = [count * i // (2 * n_threads()) for i in range(2 * n_threads() + 1)]
        pack = partial(tiles.pack, line, row, col, self.k, self.n, self.panels)
        share([partial(pack, a, b) for a, b in pairwise(edges) if a < b])

    @property
    def n_panels(self) -> int:
        return -(-self.n // WIDTH)

    @property
    def nbytes(self) -> int:
        return self.panels.nbytes

    def multiply(
        self, phases: Phases, a: Array, y: Array, size: int, *, add: bool = False, common: int = 0
    ) -> int:
        """Begin a phase: y [rows, n] = (y +) a [rows, k] · wᵀ (+ bias), sizes[size] rows; returns
        the work's number."""
        mode = (tiles.ADD if add else 0) + (0 if self.bias is None else tiles.BIAS)
        bias = self.panels[:1] if self.bias is None else self.bias
        shape = np.array([self.k, self.n, self.n, mode, size], np.int64)
        units = Units(self.n_panels, common=common)
        return phases.add(product_floats, units, [shape, a, self.panels, y, bias])


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
        return Matrix(rows, bias)


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
