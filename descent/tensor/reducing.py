"""Reductions of tensors: many elements become one.

Every `dim` is an axis, several where PyTorch allows it, or None for all. NumPy's spellings `axis`
and `keepdims` are accepted beside `dim` and `keepdim`.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from descent.autograd import apply
from descent.dtypes import to_dtype
from descent.ops import reductions, spread
from descent.tensor.common import axes, axis, cast
from descent.tensor.comparing import isnan, where

__all__ = [
    "logsumexp", "mean", "nanmean", "nansum", "prod", "std",
    "std_mean", "sum", "sum_to_size", "var", "var_mean",
]  # fmt: skip


def numpy_names(name: str, dim: Any, keepdim: bool, named: dict[str, Any]) -> tuple[Any, bool]:
    """`dim` and `keepdim`, where `axis` and `keepdims` may have been written for them."""
    dim, keepdim = named.pop("axis", dim), named.pop("keepdims", keepdim)
    if named:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
    return dim, keepdim


def _floating(name: str, x: Any, dtype: Any = None) -> Any:
    """`x`, in `dtype` where given.

    Raises:
        RuntimeError: when that is not a floating-point type.
    """
    if dtype is not None:
        x = cast(x, to_dtype(dtype).np)
    if x.array.dtype.kind != "f":
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point "
            f"or complex dtype. Got: {x.dtype.name}; convert with .float()"
        )
    return x


def _summable(x: Any, dtype: Any) -> Any:
    if dtype is not None:
        return cast(x, to_dtype(dtype).np)
    return x if x.array.dtype.kind == "f" else cast(x, np.dtype(np.int64))


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named) -> Any:
    """Sum over `dim`; integers and booleans add up in int64."""
    if named:
        dim, keepdim = numpy_names("sum", dim, keepdim, named)
    x = input if dtype is None and input.array.dtype.kind == "f" else _summable(input, dtype)
    if dim is not None:
        dim = axes(dim, x.array.ndim)
    return apply(reductions.sum_, x, dim=dim, keepdim=keepdim)


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named) -> Any:
    """Arithmetic mean over `dim` of a floating-point tensor."""
    if named:
        dim, keepdim = numpy_names("mean", dim, keepdim, named)
    x = input
    if dtype is not None or x.array.dtype.kind != "f":
        x = _floating("mean", x, dtype)
    if dim is not None:
        dim = axes(dim, x.array.ndim)
    return apply(reductions.mean, x, dim=dim, keepdim=keepdim)


def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum of the elements that are not NaN."""
    x = _summable(input, dtype)
    if x.array.dtype.kind == "f":
        x = where(isnan(x), 0.0, x)
    return sum(x, dim, keepdim)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Arithmetic mean of the elements that are not NaN."""
    x = _floating("nanmean", input, dtype)
    return nansum(x, dim, keepdim) / sum(~isnan(x), dim, keepdim)


def prod(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **named) -> Any:
    """Product over one axis or all; integers and booleans multiply in int64."""
    if named:
        dim, keepdim = numpy_names("prod", dim, keepdim, named)
    x = _summable(input, dtype)
    dim = None if dim is None else axis(dim, x.array.ndim)
    return apply(reductions.prod, x, dim=dim, keepdim=keepdim)


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """log Σ exp over `dim`, computed without overflow."""
    x = input if input.array.dtype.kind == "f" else cast(input, to_dtype(float).np)
    return apply(reductions.logsumexp, x, dim=axes(dim, x.array.ndim), keepdim=keepdim)


def _spread(
    op: Any, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any, named: Any
) -> tuple[Any, Any, bool]:
    """The spread, and where and how it was taken (for the mean beside it)."""
    if named:
        dim, keepdim = numpy_names(op.name, dim, keepdim, named)
    if isinstance(dim, builtins.bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{op.name}(): give either unbiased or correction, not both")
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            f"std and var only support floating point and complex dtypes, got {input.dtype.name}"
        )
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    dim = axes(dim, input.array.ndim)
    y = apply(op, input, dim=dim, keepdim=keepdim, correction=builtins.float(correction))
    return y, dim, keepdim


def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None, **named: Any,
) -> Any:  # fmt: skip
    """Variance: Σ (x − mean)² / (n − correction); `unbiased=False` means correction 0."""
    return _spread(spread.var, input, dim, unbiased, keepdim, correction, named)[0]


def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None, **named: Any,
) -> Any:  # fmt: skip
    """Standard deviation: the square root of `var`."""
    return _spread(spread.std, input, dim, unbiased, keepdim, correction, named)[0]


def var_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None, **named: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Variance and mean."""
    y, dim, keepdim = _spread(spread.var, input, dim, unbiased, keepdim, correction, named)
    return y, mean(input, dim, keepdim)


def std_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: Any = None, **named: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Standard deviation and mean."""
    y, dim, keepdim = _spread(spread.std, input, dim, unbiased, keepdim, correction, named)
    return y, mean(input, dim, keepdim)


def sum_to_size(input: Any, *size: Any) -> Any:
    """Sum over the axes that broadcasting from `size` to this shape would stretch."""
    wanted = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    shape = input.array.shape
    lead = len(shape) - len(wanted)
    if lead < 0 or builtins.any(n not in (1, shape[lead + i]) for i, n in enumerate(wanted)):
        raise RuntimeError(f"size {list(wanted)} is not expandable to size {list(shape)}.")
    stretched = [i for i in range(len(shape)) if i < lead or wanted[i - lead] != shape[i]]
    return sum(input, stretched, True).reshape(wanted) if stretched else input


class ReducingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    sum, mean, prod, nansum, nanmean = sum, mean, prod, nansum, nanmean
    var, std, logsumexp, sum_to_size = var, std, logsumexp, sum_to_size
