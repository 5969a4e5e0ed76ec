"""Scores and probabilities."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.dtypes import promote, to_dtype
from descent.ops import probability
from descent.tensor.common import axis, cast

__all__ = ["ProbabilityMethods", "log_softmax", "softmax"]


def _scores(input: Any, dtype: Any) -> Any:
    """The input in `dtype`; integers must say which, as in PyTorch."""
    if dtype is not None:
        return cast(input, to_dtype(dtype).np)
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            f"softmax needs a floating-point tensor, got {input.array.dtype}: convert it with "
            f".float(), or pass dtype={promote(1.0)}"
        )
    return input


def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """exp(x) / Σ exp(x) along `dim`."""
    x = _scores(input, dtype)
    return apply(probability.softmax, x, dim=axis(dim, x.array.ndim))


def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """Logarithm of softmax along `dim`, without overflow."""
    x = _scores(input, dtype)
    return apply(probability.log_softmax, x, dim=axis(dim, x.array.ndim))


class ProbabilityMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    softmax, log_softmax = softmax, log_softmax
