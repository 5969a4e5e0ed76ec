"""Rows of a table of embeddings, wherever and in whatever width they lie.

A tied table is the head's weight, too; that one is packed for multiplying (`matrices.py`), while
single rows are looked up where the file has them: a mapped file's other pages are never read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.generate.decoder.parts import Source, as_float32

__all__ = ["Table"]

Array = np.ndarray


class Table:
    """`name`.weight of a source, a row per token or position."""

    def __init__(self, source: Source, name: str) -> None:
        self._stored: Any = source.stored(f"{name}.weight")
        self._bf16 = source.number_format(f"{name}.weight") == "BF16"
        if self._bf16:  # it came widened: half of every number is zeros
            self._stored = (self._stored.view(np.uint32) >> 16).astype(np.uint16)

    def rows(self, indices: Array, out: Array) -> None:
        """out [N, C] = the rows at `indices`, as float32."""
        if self._bf16:
            out.view(np.uint32)[:] = self._stored[indices].astype(np.uint32) << 16
        elif isinstance(self._stored, np.ndarray) and self._stored.dtype == np.float32:
            np.take(self._stored, indices, axis=0, out=out, mode="clip")
        else:
            out[:] = as_float32(self._stored[indices])
