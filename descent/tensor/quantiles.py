"""Quantiles: the value below which a fraction q of the elements lies.

Sorted elements x_0 … x_{n−1} stand at the fractions i / (n − 1); between two of them a rule
decides ("linear": on the straight line between them).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply, wrap
from descent.ops import gathers, sorting
from descent.tensor.common import axis
from descent.tensor.comparing import where
from descent.tensor.shaping import movedim, reshape

__all__ = ["QuantileMethods", "nanquantile", "quantile"]

_RULES = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Any:  # fmt: skip
    """Quantiles along `dim` (all elements without it); NaN where there is a NaN.

    Args:
        q: a fraction, or a vector of them, which becomes the first axis of the result.
        interpolation: linear, lower, higher, midpoint or nearest.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, ignore_nan=False)


def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Any:  # fmt: skip
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, ignore_nan=True)


def _fractions(name: str, input: Any, q: Any, rule: str) -> Any:
    """q as a tensor of the input's dtype.

    Raises:
        RuntimeError: for an unknown rule, an empty input, or q outside [0, 1].
    """
    dtype = input.array.dtype
    if dtype not in (np.float32, np.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if not input.array.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if rule not in _RULES:
        raise RuntimeError(
            f"{name}() interpolation must be one of {', '.join(_RULES)}; got {rule!r}"
        )
    q = q if isinstance(q, TensorBase) else wrap(np.asarray(q, dtype))
    given = q.array
    if given.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor, got shape {given.shape}")
    if given.dtype != dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if given.size and not ((given >= 0) & (given <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1], got {given}")
    return q


def _ranks(x: np.ndarray, q: Any, ignore_nan: bool) -> Any:
    """Fractional positions among the sorted elements of every row, [..., Q]; a function of q."""
    missing = (x != x).sum(-1, keepdims=True)  # NaN is sorted to the end
    last = x.shape[-1] - 1
    if ignore_nan:
        return q * wrap(np.maximum(last - missing, 0).astype(x.dtype))
    at_nan = wrap(np.where(missing > 0, x.dtype.type(last), x.dtype.type(0)))
    return where(wrap(missing > 0), at_nan, q * float(last))


def _quantile(
    name: str, input: Any, q: Any, dim: int | None, keepdim: bool, rule: str, ignore_nan: bool
) -> Any:
    fractions = _fractions(name, input, q, rule)
    nd = input.array.ndim
    at = 0 if dim is None else axis(dim, nd)
    x = reshape(input, -1) if dim is None or not nd else movedim(input, at, -1)
    ranks = _ranks(x.array, reshape(fractions, -1), ignore_nan)
    y = _between(x, ranks, rule)  # [..., Q]
    if keepdim and nd:
        ones = [1] * (nd if dim is None else 1)
        y = reshape(y, *y.array.shape[:-1], *ones, fractions.array.size)
        y = y if dim is None else movedim(y, -2, at)
    return movedim(y, -1, 0) if fractions.array.ndim else reshape(y, y.array.shape[:-1])


def _between(x: Any, ranks: Any, rule: str) -> Any:
    order = sorting.order(x.array, x.array.ndim - 1)
    last = x.array.ndim - 1

    def pick(rank: np.ndarray) -> Any:
        index = np.take_along_axis(order, rank.astype(np.int64), last)
        return apply(gathers.gather, x, dim=last, index=index)

    if rule in ("lower", "higher", "nearest"):
        return pick({"lower": np.floor, "higher": np.ceil, "nearest": np.round}[rule](ranks.array))
    below = np.floor(ranks.array)
    low, high = pick(below), pick(np.ceil(ranks.array))
    weight = wrap(np.full_like(below, 0.5)) if rule == "midpoint" else ranks - wrap(below)
    step = high - low  # from the nearer end, so that weight 1 gives `high` exactly
    return where(weight < 0.5, low + step * weight, high - step * (1 - weight))


class QuantileMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    quantile, nanquantile = quantile, nanquantile
