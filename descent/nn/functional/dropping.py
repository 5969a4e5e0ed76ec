"""Dropout, with masks from the generator: the same as PyTorch's for the same seed.

    dropout          x m / (1 − p)                      m ∈ {0, 1}, one per element
    feature dropout  the same with one m per channel    (dropout1d, 2d, 3d)
    alpha dropout    a (x m + α′ (1 − m)) + b           keeps mean and variance after SELU

Srivastava et al. 2014, JMLR 15; Tompson et al. 2015, arXiv:1411.4280; Klambauer et al. 2017,
arXiv:1706.02515.
"""

from __future__ import annotations

import warnings
from math import sqrt
from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.ops import dropping
from descent.random import bernoulli
from descent.tensor import inplace as writing

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip

SELU_FLOOR = 1.7580993408473766  # −(lower limit of SELU)


def check(p: float) -> None:
    """Raises ValueError unless p is a probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """While training, zero every element with probability p and divide the others by 1 − p."""
    check(p)
    if not training or p == 0.0 or not input.array.size:
        return input
    return _dropped(input, _mask_like(input.array, p), p, inplace)


def _dropped(input: Any, mask: np.ndarray, p: float, inplace: bool) -> Any:
    if p < 1.0:
        mask /= mask.dtype.type(1 - p)
    y = apply(dropping.dropout, input, wrap(mask))
    return writing.assign(input, y) if inplace else y


def _mask_like(x: np.ndarray, p: float) -> np.ndarray:
    """0 with probability p, else 1; drawn in the order in which the elements lie in memory."""
    if p == 1.0:
        return np.zeros_like(x)
    if x.flags.c_contiguous:
        return bernoulli(1 - p, x.shape, x.dtype)
    order = sorted(range(x.ndim), key=lambda d: -abs(x.strides[d]))
    mask = bernoulli(1 - p, tuple(x.shape[d] for d in order), x.dtype)
    return mask.transpose(np.argsort(order))


def _mask_features(x: np.ndarray, p: float) -> np.ndarray:
    """One number per sample and channel: [N, C, 1, …]."""
    if x.ndim < 2:
        raise RuntimeError(f"Feature dropout requires at least 2 dimensions, got {list(x.shape)}")
    shape = x.shape[:2] + (1,) * (x.ndim - 2)
    return np.zeros(shape, x.dtype) if p == 1.0 else bernoulli(1 - p, shape, x.dtype)


def _features(input: Any, p: float, training: bool, inplace: bool, single: bool) -> Any:
    check(p)
    if not training or p == 0.0 or not input.array.size:
        return input
    x = input.unsqueeze(0) if single else input
    y = _dropped(x, _mask_features(x.array, p), p, inplace)
    return y.squeeze(0) if single else y


def _expected(name: str, input: Any, *dims: int) -> None:
    if input.array.ndim not in dims:
        warnings.warn(
            f"{name}: Received a {input.array.ndim}-D input, expected {dims[0]}-D or {dims[1]}-D; "
            "the second axis counts as channels",
            stacklevel=3,
        )


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of [N, C, L] or [C, L]."""
    if input.array.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, got {input.array.ndim}D")
    return _features(input, p, training, inplace, single=input.array.ndim == 2)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of [N, C, H, W]; a 3-D input counts as [N, C, L], as in PyTorch."""
    _expected("dropout2d", input, 3, 4)
    return _features(input, p, training, inplace, single=False)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of [N, C, D, H, W] or [C, D, H, W]."""
    _expected("dropout3d", input, 4, 5)
    return _features(input, p, training, inplace, single=input.array.ndim != 5)


def _alpha(input: Any, mask: np.ndarray, p: float, inplace: bool) -> Any:
    if p == 1.0:
        y = input * 0.0
    else:
        a = 1 / sqrt((SELU_FLOOR * SELU_FLOOR * p + 1) * (1 - p))
        number = mask.dtype.type
        shift = (mask - 1) * number(SELU_FLOOR * a) + number(SELU_FLOOR * a * p)
        y = apply(dropping.dropout, input, wrap(mask * number(a))) + wrap(shift)
    return writing.assign(input, y) if inplace else y


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout to SELU's lower limit instead of 0, rescaled to keep mean and variance."""
    check(p)
    if not training or p == 0.0 or not input.array.size:
        return input
    return _alpha(input, _mask_like(input.array, p), p, inplace)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """`alpha_dropout` of whole channels."""
    check(p)
    if not training or p == 0.0 or not input.array.size:
        return input
    return _alpha(input, _mask_features(input.array, p), p, inplace)
