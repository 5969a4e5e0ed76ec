"""Intel's matrix unit (AMX): eight tiles of 16 rows of 16 words, multiplied by one instruction.

    tile[c][i, j] += Σ_q tile[a][i, q] · tile[b][q, j]     a word is two bf16, or four bytes

A kernel asks for the unit (`start`), uses tiles by their number 0 … 7 (constants in the source),
and gives it back (`stop`) before it returns; each thread has tiles of its own. As written, tiles
are NumPy arrays; compiled, each function is one instruction. What a term is, the sums' type says,
as in `registers`: float32, two bf16; int32, four bytes, unsigned in a and signed in b.

`allowed` asks the system for the unit, once per process: code that uses it may run nowhere else.
Intel, "Architecture Instruction Set Extensions Programming Reference", ch. 3 (319433).
"""

from __future__ import annotations

import ctypes
import functools
import threading

import numpy as np

from descent.kernel import processor
from descent.kernel.registers import outer

__all__ = ["SIDE", "add_product", "allowed", "load", "start", "stop", "store", "zero"]

Array = np.ndarray
SIDE = 16  # rows of a tile, and words of 32 bits in a row
_mine = threading.local()


def start() -> None:
    """Take the unit; every tile is 0."""
    _mine.tiles = [np.zeros((SIDE, SIDE), np.int32) for _ in range(8)]


def stop() -> None:
    """Give the unit back."""
    del _mine.tiles


def zero(tile: int) -> None:
    """tile = 0."""
    _tiles()[tile][:] = 0


def load(tile: int, x: Array, i: int, row: int) -> None:
    """tile[r, c] = x[i + r·row + c]; x is float32 or int32, the words are taken as they are."""
    for r in range(SIDE):
        _tiles()[tile][r] = _inside(x, i + r * row).view(np.int32)


def store(tile: int, y: Array, i: int, row: int) -> None:
    """y[i + r·row + c] = tile[r, c]."""
    for r in range(SIDE):
        _inside(y, i + r * row)[:] = _tiles()[tile][r].view(y.dtype)


def add_product(c: int, a: int, b: int, y: Array) -> None:
    """tile[c] += tile[a] · tile[b] (see above); y's type, float32 or int32, is that of the sums."""
    tiles = _tiles()
    sums = tiles[c].view(y.dtype).reshape(SIDE, SIDE)
    for q in range(SIDE):
        sums = outer(sums, tiles[a].reshape(-1), q, SIDE, tiles[b][q], 0)
    tiles[c][:] = sums.view(np.int32)


@functools.cache
def allowed() -> bool:
    """Whether the processor has the unit and the system lets this process use it (Linux)."""
    if not processor.has_amx():
        return False
    try:
        system = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return False
    arch_prctl, ask_for_tiles, tile_data = 158, 0x1023, 18
    return system(arch_prctl, ask_for_tiles, tile_data) == 0


def _tiles() -> list[Array]:
    if not hasattr(_mine, "tiles"):
        raise RuntimeError("a tile is used before amx.start() or after amx.stop()")
    return _mine.tiles


def _inside(x: Array, i: int) -> Array:
    if not 0 <= i <= len(x) - SIDE:
        raise IndexError(f"words {i} to {i + SIDE} of an array of {len(x)}: beyond its ends")
    return x[i : i + SIDE]
