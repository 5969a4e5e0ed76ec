"""Softmax and its relatives, with the optional arguments of `torch.nn.functional`."""

from __future__ import annotations

import warnings
from typing import Any

from descent.tensor import probability

__all__ = ["log_softmax", "softmax", "softmin"]


def _dim(name: str, input: Any, dim: int | None) -> int:
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=3,
    )
    return 0 if input.array.ndim in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) / Σ exp(x) along `dim`."""
    return probability.softmax(input, _dim("softmax", input, dim), dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax of −x along `dim`."""
    return probability.softmax(-input, _dim("softmin", input, dim), dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`."""
    return probability.log_softmax(input, _dim("log_softmax", input, dim), dtype)
