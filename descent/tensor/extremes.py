"""The largest, the smallest, where they are; whether any or all elements are true."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply
from descent.ops import extremes
from descent.tensor.common import axes, axis, cast
from descent.tensor.comparing import maximum, minimum
from descent.tensor.reducing import numpy_names
from descent.tensor.results import pair

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin",
    "count_nonzero", "max", "min",
]  # fmt: skip

_Max, _Min, _Aminmax = pair("max"), pair("min"), pair("aminmax", "min max")


def _not_empty(name: str, x: Any, dims: tuple[int, ...] | None) -> None:
    """Refuse to choose among no elements.

    Raises:
        IndexError: for an axis of size 0, or (argmax, argmin) an empty tensor without `dim`;
        RuntimeError: for an empty tensor without `dim`.
    """
    a = x.array
    if a.size:
        return
    if dims is None:
        raise (IndexError if name.startswith("arg") else RuntimeError)(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0 (shape "
            f"{list(a.shape)}). Specify the reduction dim with the 'dim' argument."
        )
    for d in dims:
        if a.ndim and a.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _best(
    name: str, of_all: Any, along: Any, two: Any, result: Any, args: tuple[Any, ...], named: Any
) -> Any:
    """The three forms of max and min: (x), (x, dim, keepdim) and (x, other)."""
    x, dim, keepdim, other = args
    if isinstance(dim, TensorBase) or other is not None:
        return two(x, dim if other is None else other)
    if named:
        dim, keepdim = numpy_names(name, dim, keepdim, named)
    if dim is None:
        _not_empty(name, x, None)
        return apply(of_all, x, dim=None, keepdim=False)
    d = axis(dim, x.array.ndim)
    _not_empty(name, x, (d,))
    return result(*apply(along, x, dim=d, keepdim=keepdim))


def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, **named) -> Any:
    """The largest element; with `dim`, (values, indices) along it; with a tensor, elementwise.

    Equal largest elements share the gradient of max(input); along an axis the first one gets it.
    """
    args = (input, dim, keepdim, other)
    return _best("max", extremes.max_of_all, extremes.max_, maximum, _Max, args, named)


def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, **named) -> Any:
    """The smallest element; with `dim`, (values, indices) along it; with a tensor, elementwise."""
    args = (input, dim, keepdim, other)
    return _best("min", extremes.min_of_all, extremes.min_, minimum, _Min, args, named)


def _reduced(op: Any, x: Any, dim: Any, keepdim: bool, named: Any) -> Any:
    if named:
        dim, keepdim = numpy_names(op.name, dim, keepdim, named)
    dims = axes(dim, x.array.ndim) if dim is not None and dim != () else None
    _not_empty(op.name, x, dims)
    return apply(op, x, dim=dims, keepdim=keepdim)


def amax(input: Any, dim: Any = (), keepdim: bool = False, **named: Any) -> Any:
    """The largest element over `dim`; equal ones share the gradient."""
    return _reduced(extremes.amax, input, dim, keepdim, named)


def amin(input: Any, dim: Any = (), keepdim: bool = False, **named: Any) -> Any:
    """The smallest element over `dim`; equal ones share the gradient."""
    return _reduced(extremes.amin, input, dim, keepdim, named)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(min, max) over an axis or all."""
    return _Aminmax(amin(input, dim, keepdim), amax(input, dim, keepdim))


def argmax(input: Any, dim: int | None = None, keepdim: bool = False, **named: Any) -> Any:
    """The position of the (first) largest element along `dim`, or in the flattened tensor."""
    return _reduced(extremes.argmax, input, dim, keepdim, named)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False, **named: Any) -> Any:
    """The position of the (first) smallest element along `dim`, or in the flattened tensor."""
    return _reduced(extremes.argmin, input, dim, keepdim, named)


def _truth(op: Any, x: Any, dim: Any, keepdim: bool, named: Any) -> Any:
    if named:
        dim, keepdim = numpy_names(op.name, dim, keepdim, named)
    y = apply(op, x, dim=axes(dim, x.array.ndim), keepdim=keepdim)
    return cast(y, x.array.dtype) if x.array.dtype == np.uint8 else y  # PyTorch's exception


def any(input: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
    """Is one of the elements over `dim` true (not 0)?"""
    return _truth(extremes.any_, input, dim, keepdim, named)


def all(input: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:
    """Are all the elements over `dim` true (not 0)?"""
    return _truth(extremes.all_, input, dim, keepdim, named)


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements over `dim` are not 0."""
    return apply(extremes.count_nonzero, input, dim=axes(dim, input.array.ndim), keepdim=False)


class ExtremesMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    max, min, amax, amin, aminmax = max, min, amax, amin, aminmax
    argmax, argmin, any, all, count_nonzero = argmax, argmin, any, all, count_nonzero
