"""New tensors: from data, filled, ranges, random."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, wrap
from descent.dtypes import get_default_dtype, to_dtype
from descent.tensor.shaping import sizes

__all__ = ["from_numpy", "tensor", "zeros"]


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor with a copy of `data` (numbers, nested lists, an array, a tensor)."""
    if isinstance(data, TensorBase):
        array = data.array.copy()
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
    else:
        array = np.array(_numbers(data))
        if array.dtype == np.float64:
            array = array.astype(get_default_dtype().np)
        if array.dtype.kind not in "fiub" and array.size:
            raise TypeError(f"can't make a tensor of {type(data).__name__}: {data!r:.60}")
    if not array.size and array.dtype == np.float64 and not isinstance(data, np.ndarray):
        array = array.astype(get_default_dtype().np)
    if dtype is not None:
        array = array.astype(to_dtype(dtype).np)
    t = wrap(array)
    return t.requires_grad_() if requires_grad else t


def _numbers(data: Any) -> Any:
    if isinstance(data, TensorBase):
        return data.array
    if isinstance(data, (list, tuple)):
        return [_numbers(d) for d in data]
    return data


def from_numpy(array: np.ndarray) -> Any:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    return wrap(array)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros of a shape."""
    t = wrap(np.zeros(sizes(size), (to_dtype(dtype) if dtype else get_default_dtype()).np))
    return t.requires_grad_() if requires_grad else t
