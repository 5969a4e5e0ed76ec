"""Scans of tensors: every position along an axis gets the reduction of what stands up to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply
from descent.dtypes import to_dtype
from descent.ops import scans
from descent.tensor.calling import in_place
from descent.tensor.common import axis, cast
from descent.tensor.results import pair

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]

_Cummax, _Cummin = pair("cummax"), pair("cummin")


def _scan(op: Any, x: Any, dim: int | None, dtype: Any, named: Any) -> Any:
    dim = named.pop("axis", dim)
    if named or dim is None:
        given = f"an unexpected argument '{next(iter(named))}'" if named else "no argument 'dim'"
        raise TypeError(f"{op.name}() got {given}")
    if dtype is not None:
        x = cast(x, to_dtype(dtype).np)
    elif x.array.dtype.kind in "biu":
        x = cast(x, np.dtype(np.int64))
    return apply(op, x, dim=axis(dim, x.array.ndim))


def cumsum(input: Any, dim: int | None = None, *, dtype: Any = None, **named: Any) -> Any:
    """Sums of the elements up to each position along `dim`; integers add up in int64."""
    return _scan(scans.cumsum, input, dim, dtype, named)


def cumprod(input: Any, dim: int | None = None, *, dtype: Any = None, **named: Any) -> Any:
    """Products of the elements up to each position along `dim`."""
    return _scan(scans.cumprod, input, dim, dtype, named)


def logcumsumexp(input: Any, dim: int) -> Any:
    """log Σ exp of the elements up to each position along `dim`."""
    x = input if input.array.dtype.kind == "f" else cast(input, to_dtype(float).np)
    return apply(scans.logcumsumexp, x, dim=axis(dim, x.array.ndim))


def cummax(input: Any, dim: int) -> Any:
    """(values, indices): the largest element up to each position along `dim`."""
    return _Cummax(*apply(scans.cummax, input, dim=axis(dim, input.array.ndim)))


def cummin(input: Any, dim: int) -> Any:
    """(values, indices): the smallest element up to each position along `dim`."""
    return _Cummin(*apply(scans.cummin, input, dim=axis(dim, input.array.ndim)))


class ScanningMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    cumsum, cumprod, logcumsumexp = cumsum, cumprod, logcumsumexp
    cummax, cummin = cummax, cummin
    cumsum_, cumprod_ = in_place(cumsum), in_place(cumprod)
