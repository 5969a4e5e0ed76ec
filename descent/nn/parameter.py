"""`Parameter`: a tensor that a module owns and an optimiser changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase
from descent.tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A leaf tensor that registers itself when it becomes an attribute of a `Module`.

    Args:
        data: a tensor (or array); the memory is shared, the history is dropped.
        requires_grad: whether a gradient is wanted.

    Raises:
        TypeError: when `data` is not a tensor or array.
        RuntimeError: when a gradient is wanted of numbers that are not floating point.
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = Tensor(np.empty(0, np.float32))
        if not isinstance(data, (TensorBase, np.ndarray)):
            raise TypeError(
                f"Parameter needs a tensor, got {type(data).__name__}; "
                "write Parameter(descent.tensor(...))"
            )
        super().__init__(data.array if isinstance(data, TensorBase) else data)
        if isinstance(data, TensorBase):
            self.version = data.version
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
