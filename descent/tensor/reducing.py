"""Reductions of tensors: many elements become one."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply
from descent.dtypes import to_dtype
from descent.ops import reductions
from descent.tensor.common import axes, cast

__all__ = ["ReducingMethods", "mean", "sum"]


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum over `dim` (an axis, several, or all); integers and booleans add up in int64."""
    if dtype is not None:
        input = cast(input, to_dtype(dtype).np)
    elif input.array.dtype.kind in "biu":
        input = cast(input, np.dtype(np.int64))
    return apply(reductions.sum_, input, dim=axes(dim, input.array.ndim), keepdim=keepdim)


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Arithmetic mean over `dim` of a floating-point tensor."""
    if dtype is not None:
        input = cast(input, to_dtype(dtype).np)
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {input.array.dtype}; convert with .float()"
        )
    return apply(reductions.mean, input, dim=axes(dim, input.array.ndim), keepdim=keepdim)


class ReducingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    sum, mean = sum, mean
