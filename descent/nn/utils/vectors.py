"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from descent.autograd import wrap

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """A copy of all numbers, parameter after parameter: a 1-D tensor."""
    return wrap(np.concatenate([p.array.reshape(-1) for p in parameters]))


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Write the numbers of a 1-D tensor into the parameters, in their order.

    Raises:
        TypeError: when `vec` is not a tensor.
        RuntimeError: when it is too short.
    """
    if not hasattr(vec, "array"):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    parameters = list(parameters)
    wanted = sum(p.array.size for p in parameters)
    if vec.array.size < wanted:
        raise RuntimeError(f"the vector has {vec.array.size} numbers, the parameters {wanted}")
    start = 0
    for p in parameters:
        n = p.array.size
        p.array[...] = vec.array[start : start + n].reshape(p.array.shape)
        p.version[0] += 1
        start += n
