"""Norms and distances: how long a vector is, how far apart two are."""

from __future__ import annotations

from math import inf
from typing import Any

from descent.autograd import apply
from descent.dtypes import to_dtype
from descent.ops import spread
from descent.tensor.calling import in_place
from descent.tensor.common import axes, axis, cast, operands
from descent.tensor.comparing import ne, where
from descent.tensor.extremes import amax, amin
from descent.tensor.reducing import sum

__all__ = ["MeasuringMethods", "cdist", "dist", "norm", "renorm", "vector_norm"]


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
        try:
            return (amax if ord > 0 else amin)(x.abs(), dim, keepdim)
        except (IndexError, RuntimeError):
            if x.array.size:
                raise
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {ord} norm of no elements (shape "
                f"{list(x.array.shape)}, dim {dim}): the operation does not have an identity"
            ) from None
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
        from descent.tensor.factoring import matrix_norm

        return matrix_norm(input, "nuc", dim or (-2, -1), keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm(): only the strings 'fro' and 'nuc' name norms, got {p!r}")
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of input − other, which broadcast."""
    a, b = operands(input, other, floating=True)
    return vector_norm(a - b, p)


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """The p-norm of every row of x1 [.., P, M] minus every row of x2 [.., R, M]: [.., P, R]."""
    a, b = x1.array, x2.array
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            "cdist: X1 and X2 must be matrices (or batches) with the same number of columns, got "
            f"shapes {list(a.shape)} and {list(b.shape)}"
        )
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    apart = x1.unsqueeze(-2) - x2.unsqueeze(-3)  # .. P R M
    if not a.shape[-1]:
        return sum(apart, -1)
    return vector_norm(apart, p, -1)


def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Every slice along `dim` shrunk, where its p-norm exceeds `maxnorm`, to that norm."""
    nd = input.array.ndim
    d = axis(dim, nd)
    if nd < 2 or p <= 0 or maxnorm < 0:
        raise RuntimeError(
            f"renorm: needs at least 2 axes, p > 0 and maxnorm ≥ 0; got {nd}, {p}, {maxnorm}"
        )
    length = vector_norm(input, p, tuple(i for i in range(nd) if i != d), True)
    return input * where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)


class MeasuringMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    norm, dist, renorm, renorm_ = norm, dist, renorm, in_place(renorm)
