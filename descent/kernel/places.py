"""Arrays by number: how one compiled function reaches any of many arrays.

    x = places.float32(table, 3)

Compiled, `table` is a 1-D int64 array of (address, size) pairs, one per slot, and the result is the
flat array that lies there; as written, `table` is a list of arrays. Whoever fills the table keeps
the arrays alive and says their dtypes right: nothing is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["boolean", "float32", "float64", "int32", "int64", "table_of", "uint8"]


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
    """The int32 array of this slot."""
    return table[slot]


def uint8(table: Any, slot: int) -> np.ndarray:
    """The uint8 array of this slot."""
    return table[slot]


def boolean(table: Any, slot: int) -> np.ndarray:
    """The bool array of this slot."""
    return table[slot]


def table_of(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The compiled form's table of contiguous 1-D arrays."""
    pairs = [(a.__array_interface__["data"][0], a.size) for a in arrays]
    return np.array(pairs, np.int64).reshape(-1)
