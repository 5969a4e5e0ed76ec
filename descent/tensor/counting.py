"""Which values there are, and how often: unique, histograms. None of these has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import wrap
from descent.dtypes import get_default_dtype
from descent.tensor.common import axis
from descent.tensor.results import pair

__all__ = [
    "CountingMethods", "bincount", "histc", "histogram", "unique", "unique_consecutive",
]  # fmt: skip

_Histogram = pair("histogram", "hist bin_edges")


def _answer(values: np.ndarray, inverse: np.ndarray | None, counts: np.ndarray | None) -> Any:
    found = [wrap(np.asarray(v)) for v in (values, inverse, counts) if v is not None]
    return found[0] if len(found) == 1 else tuple(found)


def _as_rows(x: np.ndarray, d: int) -> np.ndarray:
    """One row for every slice of an axis."""
    n = x.shape[d]
    return np.moveaxis(x, d, 0).reshape(n, x.size // n if n else 0)


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different elements (or slices along `dim`), in order of size.

    Returns:
        The values; then, when asked for, where each input element is among them, and how often
        each one occurs.
    """
    x = input.array
    if dim is None:
        flat = x.reshape(-1)
        ranks = np.argsort(flat, kind="stable")
        order = flat[ranks]
        new = np.ones(order.size, bool)
        new[1:] = order[1:] != order[:-1]
        shape = x.shape
    else:
        d = axis(dim, x.ndim)
        rows = _as_rows(x, d)
        ranks = np.lexsort(rows.T[::-1]) if rows.shape[1] else np.arange(len(rows))
        order = rows[ranks]
        new = np.ones(len(rows), bool)
        new[1:] = (order[1:] != order[:-1]).any(1)
        shape = (len(rows),)
    inverse = np.empty(len(ranks), np.int64)
    inverse[ranks] = np.cumsum(new) - 1
    counts = np.bincount(inverse) if inverse.size else np.zeros(0, np.int64)
    values = order[new] if dim is None else np.take(x, ranks[new], axis(dim, x.ndim))
    return _answer(
        values,
        inverse.reshape(shape) if return_inverse else None,
        counts if return_counts else None,
    )


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along `dim`) with equal neighbours kept once, in their order."""
    x = input.array
    rows = x.reshape(-1, 1) if dim is None else _as_rows(x, axis(dim, x.ndim))
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    inverse = np.cumsum(new) - 1
    shape = x.shape if dim is None else (len(rows),)
    values = x.reshape(-1)[new] if dim is None else np.compress(new, x, axis(dim, x.ndim))
    return _answer(
        values,
        inverse.reshape(shape) if return_inverse else None,
        np.diff(np.flatnonzero(np.append(new, True))) if return_counts else None,
    )


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number 0, 1, 2, … occurs in a vector (or the sum of its weights).

    Raises:
        RuntimeError: for anything but a vector of non-negative integers.
    """
    x = input.array
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and int(x.min()) < 0):
        raise RuntimeError(
            "bincount only supports 1-d non-negative integral inputs, got shape "
            f"{list(x.shape)} of {x.dtype}"
        )
    if weights is None:
        return wrap(np.bincount(x, minlength=minlength))
    if weights.array.shape != x.shape:
        raise RuntimeError(
            "weights should be 1-d and have the same length as input, got shape "
            f"{list(weights.array.shape)} for {len(x)} numbers"
        )
    sums = np.bincount(x, weights.array, minlength)
    return wrap(sums.astype(np.float32) if weights.array.dtype == np.float32 else sums)


def _ends(name: str, x: np.ndarray, low: float, high: float, margin: float) -> tuple[float, float]:
    """The range of a histogram: as given, else from the smallest to the largest element; these
    two moved apart by a margin where they are equal."""
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, got [{low}, {high}]")
    return (low - margin, high + margin) if low == high else (low, high)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of `bins` equal parts of [min, max].

    Elements outside are left out; min = max means the range of the data.
    """
    x = input.array.reshape(-1)
    if x.dtype.kind != "f":
        x = x.astype(get_default_dtype().np)
    if bins <= 0:
        raise RuntimeError(f"bins must be > 0, got {bins}")
    low, high = _ends("histc", x, float(min), float(max), 1)
    inside = x[(x >= low) & (x <= high)]
    part = ((inside - x.dtype.type(low)) * x.dtype.type(bins / (high - low))).astype(np.int64)
    counts = np.bincount(np.minimum(part, bins - 1), minlength=bins)
    return wrap(counts.astype(x.dtype))


def histogram(
    input: Any, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """(hist, bin_edges): how many elements (or how much weight) lie between neighbouring edges.

    Args:
        bins: the number of equal bins, or a vector of edges.
        density: divide by the total and the widths, so that the area is 1.
    """
    x = input.array.reshape(-1)
    if isinstance(bins, int):
        low, high = range or (0, int(not x.size))
        low, high = _ends("histogram", x, low, high, 0.5)
        edges = np.linspace(low, high, bins + 1, dtype=x.dtype)
    else:
        edges = bins.array
    inside = (x >= edges[0]) & (x <= edges[-1])
    part = np.minimum(np.searchsorted(edges, x[inside], side="right") - 1, len(edges) - 2)
    parts = None if weight is None else weight.array.reshape(-1)[inside]
    hist = np.bincount(part, parts, len(edges) - 1).astype(x.dtype)
    if density:
        with np.errstate(all="ignore"):
            hist = hist / (hist.sum() * np.diff(edges))
    return _Histogram(wrap(hist), wrap(edges))


class CountingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    unique, unique_consecutive, bincount = unique, unique_consecutive, bincount
    histc, histogram = histc, histogram
