"""Find where values belong: positions in sorted sequences, membership in sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, wrap

__all__ = ["SearchingMethods", "bucketize", "isin", "searchsorted"]


def _array(x: Any) -> np.ndarray:
    return x.array if isinstance(x, TensorBase) else np.asarray(x)


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where each value would have to be inserted to keep the rows of a sorted sequence sorted.

    `right=False`: before equal values. A 1-D sequence serves values of any shape; else the leading
    axes must agree.
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted: side can only be 'left' or 'right' but got {side!r}")
    if side == "left" and right:
        raise RuntimeError("searchsorted: side and right can't be set to opposites")
    rows, values = _array(sorted_sequence), _array(input)
    if sorter is not None:
        rows = np.take_along_axis(rows, sorter.array, -1)
    how = "right" if right or side == "right" else "left"
    kind = np.int32 if out_int32 else np.int64
    if rows.ndim == 1:
        return wrap(np.asarray(np.searchsorted(rows, values, how)).astype(kind))
    if rows.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "searchsorted: boundaries tensor should be 1 dimension or the first N-1 dimensions of "
            f"boundaries tensor and input value tensor must match, but we got boundaries tensor "
            f"{list(rows.shape)} and input value tensor {list(values.shape)}"
        )
    out = np.empty(values.shape, kind)
    for at in np.ndindex(values.shape[:-1]):
        out[at] = np.searchsorted(rows[at], values[at], how)
    return wrap(out)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket, between sorted boundaries, that each value falls into."""
    if boundaries.array.ndim != 1:
        raise RuntimeError(
            f"boundaries tensor must be 1 dimension, but got dim({boundaries.array.ndim})"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Whether each element is among the test elements."""
    found = np.isin(_array(elements), _array(test_elements), invert=invert)
    return wrap(np.asarray(found))


class SearchingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    def isin(self, test_elements: Any, **options: Any) -> Any:
        """Whether each element is among the test elements."""
        return isin(self, test_elements, **options)
