"""The weights of a model by name, each still where it lies until it is asked for.

A `Stored` tensor knows its shape and number format and how to be read; `Weights` is a read-only
mapping of them. Reading gives a NumPy array (mapped, where the file's format allows) or, for
formats with blocks of few bits, a `Quantised`. bfloat16, which NumPy lacks, is widened to float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from descent.hub.formats.blocks import BLOCKS, Quantised
from descent.hub.formats.mapped import MappedFile

__all__ = [
    "Stored",
    "Weights",
    "as_float32",
    "as_kind",
    "bytes_of",
    "narrowed",
    "stored_array",
    "widened",
]

_TILE = 64
_AT_A_TIME = 1 << 16  # numbers that stay in the cache
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "BOOL": 8,
    "I8": 8, "I16": 16, "I32": 32, "I64": 64, "U8": 8, "U16": 16, "U32": 32, "U64": 64,
}  # fmt: skip


def bytes_of(kind: str, shape: tuple[int, ...]) -> int:
    """How many bytes a tensor of this shape takes in number format `kind`."""
    if kind in BLOCKS:
        layout = BLOCKS[kind]
        return math.prod(shape) // layout.numbers * layout.dtype.itemsize
    return math.prod(shape) * _BITS[kind] // 8


@dataclass(frozen=True)
class Stored:
    """One tensor where it lies: `shape`, number format `kind` (F32, BF16, Q8_0, …), how to read it.

    `read(once)` gives the numbers; with `once` they are only to be passed through.
    """

    shape: tuple[int, ...]
    kind: str
    read: Callable[[bool], Any]

    @property
    def nbytes(self) -> int:
        return bytes_of(self.kind, self.shape)

    def transposed(self) -> Stored:
        """With its two axes exchanged: a view, nothing moves (blocks are taken apart first)."""
        kind = "F32" if self.kind in BLOCKS else self.kind
        return Stored(self.shape[::-1], kind, lambda once: _plain(self.read(once)).T)

    def taken(self, rows: np.ndarray) -> Stored:
        """With its rows (first axis) in another order."""
        return Stored((len(rows), *self.shape[1:]), self.kind, lambda once: self.read(once)[rows])

    def cut(self, rows: int) -> Stored:
        """The first `rows` rows alone."""
        return Stored((rows, *self.shape[1:]), self.kind, lambda once: self.read(once)[:rows])

    def reshaped(self, *shape: int) -> Stored:
        """The same numbers in another shape (not for blocks)."""
        return Stored(shape, self.kind, lambda once: self.read(once).reshape(shape))


def stored_array(array: np.ndarray) -> Stored:
    """A tensor that is in memory already."""
    kinds = {"float": "F", "int": "I", "uint": "U", "bool": "BOOL"}
    stem = array.dtype.name.rstrip("0123456789")
    kind = kinds[stem] + array.dtype.name[len(stem) :]
    return Stored(array.shape, kind, lambda once: array)


class Weights(Mapping[str, Any]):
    """Tensors by name; `weights[name]` reads one, `weights.stored[name]` only describes it."""

    def __init__(self, stored: Mapping[str, Stored], files: Sequence[MappedFile] = ()) -> None:
        self.stored = dict(stored)
        self.files = tuple(files)

    def __getitem__(self, name: str) -> Any:
        return self.stored[name].read(False)

    @contextmanager
    def once(self, name: str) -> Iterator[Any]:
        """One tensor to be converted or copied; its mapped pages are given back afterwards."""
        try:
            yield self.stored[name].read(True)
        finally:
            for file in self.files:
                file.forget()

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def __contains__(self, name: object) -> bool:
        return name in self.stored

    def __repr__(self) -> str:
        lines = [f"  {name}: {s.kind} {list(s.shape)}" for name, s in self.stored.items()]
        return "Weights(\n" + "\n".join(lines) + "\n)"

    @property
    def nbytes(self) -> int:
        """How many bytes they take where they lie."""
        return sum(s.nbytes for s in self.stored.values())

    @property
    def count(self) -> int:
        """How many numbers they are."""
        return sum(math.prod(s.shape) for s in self.stored.values())


def widened(bits: np.ndarray) -> np.ndarray:
    """bfloat16, given as uint16 bits, in float32: the same numbers, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrowed(array: np.ndarray) -> np.ndarray:
    """float32 as bfloat16 bits (uint16): to nearest, halves to even; NaN stays NaN."""
    flat = np.ascontiguousarray(array, np.float32).reshape(-1).view(np.uint32)
    out = np.empty(flat.shape, np.uint16)
    for i in range(0, len(flat), _AT_A_TIME):
        bits = flat[i : i + _AT_A_TIME]
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        out[i : i + _AT_A_TIME] = np.where(bits << 1 > 0xFF000000, bits >> 16 | 64, rounded)
    return out.reshape(array.shape)


def in_order(array: np.ndarray) -> np.ndarray:
    """In C order; a transposed matrix in tiles that stay in the cache, twice as fast."""
    if array.ndim != 2 or not array.flags.f_contiguous or min(array.shape) < 2 * _TILE:
        return np.ascontiguousarray(array)
    out = np.empty(array.shape, array.dtype)
    for i in range(0, len(array), _TILE):
        for j in range(0, array.shape[1], _TILE):
            out[i : i + _TILE, j : j + _TILE] = array[i : i + _TILE, j : j + _TILE]
    return out


def as_float32(value: Any) -> np.ndarray:
    """An array or `Quantised` as float32 in C order; what is so already is returned as it is."""
    return in_order(_plain(value)).astype(np.float32, copy=False)


def _plain(value: Any) -> np.ndarray:
    return value.dequantise() if isinstance(value, Quantised) else value


def as_kind(value: Any, kind: str, transposed: bool = False) -> np.ndarray:
    """The numbers of an array or `Quantised` as F32, F16 or BF16 (uint16 bits), in C order."""
    array = _plain(value)
    array = in_order(array.T if transposed else array)
    if kind == "BF16":
        return narrowed(array)
    with np.errstate(over="ignore"):
        return array.astype(np.float16 if kind == "F16" else np.float32, copy=False)
