"""Arrays by number: how one compiled function reaches any of many arrays.

    x = places.float32(table, 3)

Compiled, `table` is the address of (address, size) pairs, one per slot, and the result is the flat
array that lies there; as written, `table` is a list of arrays. Whoever fills the table keeps the
arrays alive and says their dtypes right: nothing is checked.

`invoke(functions, k, …)` calls the k-th of many compiled functions by its address, so that the
caller need not be compiled anew for other functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "boolean", "float32", "float64", "floats", "int32", "int64", "invoke", "octets", "table_of",
    "uint16", "uint8", "words",
]  # fmt: skip


def float32(table: Any, slot: int) -> np.ndarray:
    """The float32 array of this slot."""
    return table[slot]


def float64(table: Any, slot: int) -> np.ndarray:
    """The float64 array of this slot."""
    return table[slot]


def int64(table: Any, slot: int) -> np.ndarray:
    """The int64 array of this slot."""
    return table[slot]


def int32(table: Any, slot: int) -> np.ndarray:
    """The int32 array of this slot; a float32 one gives its words (working memory serves both)."""
    return table[slot].view(np.int32)


def uint8(table: Any, slot: int) -> np.ndarray:
    """The uint8 array of this slot."""
    return table[slot]


def uint16(table: Any, slot: int) -> np.ndarray:
    """The uint16 array of this slot."""
    return table[slot]


def boolean(table: Any, slot: int) -> np.ndarray:
    """The bool array of this slot."""
    return table[slot]


def floats(address: Any) -> np.ndarray:
    """The float32 array at an address (its size is not known, nor checked)."""
    return address


def words(address: Any) -> np.ndarray:
    """The int32 array at an address (its size is not known, nor checked)."""
    return address


def octets(address: Any) -> np.ndarray:
    """The bytes of the array at an address (its size is not known, nor checked)."""
    return address.view(np.uint8)


def invoke(functions: Any, k: int, lo: int, hi: int, frames: Any, at: int, me: int) -> None:
    """Call function k with (lo, hi, frame, me); its frame begins at pair number `at` of frames."""
    functions[k](lo, hi, frames[at], me)


def table_of(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The compiled form's table of contiguous 1-D arrays."""
    pairs = [(a.__array_interface__["data"][0], a.size) for a in arrays]
    return np.array(pairs, np.int64).reshape(-1)
