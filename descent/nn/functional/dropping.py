"""Dropout, with masks from the generator: the same as PyTorch's for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.ops import dropping
from descent.random import bernoulli

__all__ = ["dropout"]


def check(p: float) -> None:
    """Raises ValueError unless p is a probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """While training, zero every element with probability p and divide the others by 1 − p."""
    check(p)
    if not training or p == 0.0 or not input.array.size:
        return input
    y = apply(dropping.dropout, input, wrap(noise(input.array.shape, p, input.array.dtype)))
    if inplace:
        from descent.tensor.inplace import assign

        return assign(input, y)
    return y


def noise(shape: tuple[int, ...], p: float, dtype: np.dtype) -> np.ndarray:
    """0 with probability p, else 1 / (1 − p)."""
    if p == 1.0:
        return np.zeros(shape, dtype)
    mask = bernoulli(1 - p, shape, dtype)
    mask /= dtype.type(1 - p)
    return mask
