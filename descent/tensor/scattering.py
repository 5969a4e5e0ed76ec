"""Scatter with a reduction: what meets in one place is added, multiplied, averaged, compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.ops import accumulating, gathers
from descent.tensor.calling import in_place
from descent.tensor.common import watch
from descent.tensor.gathering import placed, positions_of_rows, scatter
from descent.tensor.shaping import reshape

__all__ = ["ScatteringMethods", "index_reduce", "scatter_reduce", "scatter_with"]

_OPS = {
    "sum": accumulating.scatter_add, "mean": accumulating.scatter_add,
    "prod": accumulating.scatter_prod, "amax": accumulating.scatter_max,
    "amin": accumulating.scatter_min,
}  # fmt: skip
_IDENTITY = {"sum": 0, "mean": 0, "prod": 1, "amax": -np.inf, "amin": np.inf}


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Copy in which y[index[i, j], j] is reduced with src[i, j] (dim 0; so on for other axes).

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the input's own element takes part.
    """
    x, v, where = placed("scatter_reduce", input, dim, index, src)
    if v is None:
        return input.clone()
    return reshape(_reduced(x, v, where, reduce, include_self, index), input.array.shape)


def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Copy in which slice `index[i]` of an axis is reduced with source's slice i."""
    flat = positions_of_rows("index_reduce", input, dim, index)
    if source.array.size != flat.size:
        raise RuntimeError(
            f"index_reduce(): source of shape {list(source.array.shape)} does not match the "
            f"indexed slices of shape {list(flat.shape)}"
        )
    return _reduced(input, source, flat, reduce, include_self, index)


def _reduced(x: Any, v: Any, where: np.ndarray, reduce: str, include_self: bool, index: Any) -> Any:
    if reduce not in _OPS:
        raise RuntimeError(
            f"reduce argument must be one of sum, prod, mean, amax or amin, got {reduce!r}"
        )
    if not include_self:
        x = apply(
            gathers.put_flat, x, wrap(_neutral(x.array.dtype, where, reduce)), positions=where
        )
    y = watch(apply(_OPS[reduce], x, v, wrap(where)), index)
    if reduce == "mean":
        hits = np.bincount(where.ravel(), minlength=x.array.size).reshape(x.array.shape)
        counts = wrap(np.maximum(hits + include_self, 1).astype(x.array.dtype))
        y = y / counts if x.array.dtype.kind == "f" else y // counts
    return y


def _neutral(kind: np.dtype, where: np.ndarray, reduce: str) -> np.ndarray:
    value: Any = _IDENTITY[reduce]
    if kind.kind in "iu" and reduce in ("amax", "amin"):
        value = np.iinfo(kind).min if reduce == "amax" else np.iinfo(kind).max
    return np.full(where.shape, value, kind)


def scatter_with(input: Any, dim: int, index: Any, src: Any, reduce: str) -> Any:
    """The older spelling: `scatter(..., reduce="add" | "multiply")`."""
    names = {"add": "sum", "multiply": "prod"}
    if reduce not in names:
        raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r}")
    x, v, where = placed("scatter", input, dim, index, src)
    if v is None:
        return scatter(input, dim, index, src)
    return reshape(_reduced(x, v, where, names[reduce], True, index), input.array.shape)


class ScatteringMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    scatter_reduce, index_reduce = scatter_reduce, index_reduce
    scatter_reduce_, index_reduce_ = in_place(scatter_reduce), in_place(index_reduce)
