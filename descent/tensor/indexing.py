"""Indexing: basic, by integers, by booleans, reading and writing."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply
from descent.ops import movement
from descent.tensor import inplace
from descent.tensor.common import as_tensor, cast

__all__ = ["IndexingMethods", "getitem", "setitem"]


def plain(index: Any) -> Any:
    """The index in NumPy's terms: tensors become arrays, lists become index arrays."""
    if isinstance(index, tuple):
        return tuple(plain(i) for i in index)
    if isinstance(index, TensorBase):
        if index.array.dtype.kind not in "iub":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if index.array.ndim == 0 and index.array.dtype.kind in "iu":
            return int(index.array)
        return index.array
    if isinstance(index, list):
        return np.asarray(
            [int(i) if isinstance(i, TensorBase) else i for i in index], None if index else np.int64
        )
    return index


def getitem(input: Any, index: Any) -> Any:
    """`input[index]`: a view for ints and slices, a copy for index arrays and masks."""
    return apply(movement.getitem, input, index=plain(index))


def setitem(input: Any, index: Any, value: Any) -> None:
    """`input[index] = value`, broadcast and cast."""
    where = plain(index)
    value = cast(as_tensor(value, None), input.array.dtype)
    window = apply(movement.getitem, input, index=where)
    if window.base is not None or not window.array.ndim:
        window.copy_(value) if window.base is not None else _scatter(input, where, value)
    else:
        _scatter(input, where, value)


def _scatter(input: Any, where: Any, value: Any) -> None:
    y = apply(movement.put, input, value, index=where)
    inplace.assign(input, y)


class IndexingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    __getitem__, __setitem__ = getitem, setitem
