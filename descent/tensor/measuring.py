"""Norms and distances: how long a vector is, how far apart two are."""

from __future__ import annotations

from math import inf
from typing import Any

from descent.autograd import apply
from descent.dtypes import to_dtype
from descent.ops import spread
from descent.tensor.common import axes, cast, operands
from descent.tensor.comparing import ne, where
from descent.tensor.extremes import amax, amin
from descent.tensor.reducing import sum

__all__ = ["MeasuringMethods", "dist", "norm", "vector_norm"]


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """(Σ |x|^ord)^(1/ord) over `dim`; ±inf: the largest or smallest |x|; 0: how many are not 0."""
    if dtype is not None:
        x = cast(x, to_dtype(dtype).np)
    if x.array.dtype.kind != "f":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {x.dtype.name}; convert with .float()"
        )
    if isinstance(ord, (str, type(None))):
        raise TypeError(f"vector_norm: ord must be a number, got {ord!r}")
    if ord in (inf, -inf):
        return (amax if ord > 0 else amin)(x.abs(), dim, keepdim)
    if ord == 1:
        return sum(x.abs(), dim, keepdim)
    if ord == 0:
        return sum(where(ne(x, 0), 1.0, x * 0), dim, keepdim)
    dims = axes(dim, x.array.ndim)
    if ord == 2:
        return apply(spread.norm, x, dim=dims, keepdim=keepdim)
    return apply(spread.power_norm, x, dim=dims, keepdim=keepdim, p=float(ord))


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The p-norm of the elements over `dim` (all of them without it); "fro" is p = 2."""
    if p == "nuc":
        from descent.linalg import matrix_norm

        return matrix_norm(input, "nuc", dim or (-2, -1), keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm(): only the strings 'fro' and 'nuc' name norms, got {p!r}")
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of input − other, which broadcast."""
    a, b = operands(input, other, floating=True)
    return vector_norm(a - b, p)


class MeasuringMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    norm, dist = norm, dist
