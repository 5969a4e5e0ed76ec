"""Sorting tensors, and picking elements by their rank."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.ops import sorting
from descent.tensor.common import axis
from descent.tensor.results import pair

__all__ = ["argsort", "kthvalue", "median", "mode", "msort", "nanmedian", "sort",
           "topk"]  # fmt: skip

_Sort, _Topk, _Kthvalue = pair("sort"), pair("topk"), pair("kthvalue")
_Median, _Nanmedian, _Mode = pair("median"), pair("nanmedian"), pair("mode")


def sort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """(values, indices) in order of size along `dim`; equal elements keep their order."""
    d = axis(dim, input.array.ndim)
    index = sorting.order(input.array, d, descending)
    return _Sort(apply(sorting.sort, input, dim=d, index=index), wrap(index))


def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The positions that sort a tensor along `dim`."""
    return wrap(sorting.order(input.array, axis(dim, input.array.ndim), descending))


def msort(input: Any) -> Any:
    """Sorted along the first axis."""
    index = sorting.order(input.array, 0)
    return apply(sorting.msort, input, dim=0, index=index)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest (or smallest) elements along `dim`, in order of size.

    Raises:
        RuntimeError: when the axis has fewer than k elements.
    """
    x = input.array
    d, k = axis(dim, x.ndim), k.__index__()
    n = x.shape[d] if x.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(
            f"selected index k out of range: topk of {k} along axis {d}, which has {n} elements"
        )
    index = sorting.largest(x, k, d, smallest=not largest)
    return _Topk(apply(sorting.topk, input, dim=d, index=index), wrap(index))


def _keep(y: Any, dim: int, keepdim: bool) -> Any:
    return y if keepdim or not y.array.ndim else y.squeeze(dim)


def _picked(result: Any, op: Any, x: Any, dim: int, index: np.ndarray, keepdim: bool) -> Any:
    """(values, indices) for positions with one element along `dim`."""
    values = apply(op, x, dim=dim, index=index)
    return result(_keep(values, dim, keepdim), _keep(wrap(index), dim, keepdim))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest element along `dim` (k from 1)."""
    x = input.array
    d = axis(dim, x.ndim)
    n = x.shape[d] if x.ndim else 1
    if not n:
        raise IndexError(f"kthvalue(): Expected reduction dim {d} to have non-zero size.")
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}: {k}")
    if not x.ndim:
        return _picked(_Kthvalue, sorting.kthvalue, input, d, np.zeros((), np.int64), keepdim)
    index = sorting.order(x, d).take([k - 1], d)
    return _picked(_Kthvalue, sorting.kthvalue, input, d, index, keepdim)


def _middle(x: np.ndarray, dim: int, ignore_nan: bool) -> np.ndarray:
    """The position of the lower median along an axis (kept, with size 1); of the first NaN where
    there is one and it counts."""
    if not x.ndim:
        return np.zeros((), np.int64)
    n = x.shape[dim]
    ranks = sorting.order(x, dim)
    missing = (x != x).sum(dim, keepdims=True)
    if ignore_nan:
        middle = np.maximum(n - missing - 1, 0) // 2
    else:
        middle = np.where(missing > 0, n - missing, (n - 1) // 2)
    return np.take_along_axis(ranks, middle, dim)


def _median(result: Any, input: Any, dim: Any, keepdim: bool, ignore_nan: bool) -> Any:
    x = input.array
    if dim is None:
        flat = x.reshape(-1)
        if not flat.size:
            return wrap(np.full((), np.nan, x.dtype))
        value = flat[_middle(flat, 0, ignore_nan)[0]]
        equal = flat == value if value == value else flat != flat
        return apply(sorting.share, input, positions=np.flatnonzero(equal))
    d = axis(dim, x.ndim)
    if x.ndim and not x.shape[d]:
        raise IndexError(f"median(): Expected reduction dim {d} to have non-zero size.")
    return _picked(result, sorting.median, input, d, _middle(x, d, ignore_nan), keepdim)


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median; with `dim`, (values, indices) along it. NaN where there is a NaN."""
    return _median(_Median, input, dim, keepdim, False)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of the elements that are not NaN."""
    return _median(_Nanmedian, input, dim, keepdim, True)


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent element along `dim`, the smallest of several."""
    x = input.array
    d = axis(dim, x.ndim)
    if not x.ndim:
        return _picked(_Mode, sorting.mode, input, d, np.zeros((), np.int64), keepdim)
    if not x.shape[d]:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    rows = np.moveaxis(x, d, -1)
    index = np.array([_last_of_mode(r) for r in rows.reshape(-1, x.shape[d])], np.int64)
    index = np.expand_dims(index.reshape(rows.shape[:-1]), d)
    return _picked(_Mode, sorting.mode, input, d, index, keepdim)


def _last_of_mode(row: np.ndarray) -> builtins.int:
    values, counts = np.unique(row, return_counts=True)
    best = values[counts.argmax()]
    return builtins.int(np.flatnonzero((row == best) | ((row != row) & (best != best)))[-1])


class SortingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    sort, argsort, msort, topk, kthvalue = sort, argsort, msort, topk, kthvalue
    median, nanmedian, mode = median, nanmedian, mode
