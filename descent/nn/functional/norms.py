"""Normalisation over the last axes, over channels, over groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.ops import normalization
from descent.tensor.common import operands

__all__ = ["layer_norm", "rms_norm"]


def _last_axes(name: str, x: Any, shape: Any, *parameters: Any) -> tuple[int, ...]:
    """The axes that `normalized_shape` names.

    Raises:
        RuntimeError: when it is not the end of the input's shape, or a parameter has another one.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    n = len(shape)
    if not n or x.array.shape[-n:] != shape:
        raise RuntimeError(
            f"{name}: given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size {list(x.array.shape)}"
        )
    for p in parameters:
        if p is not None and p.array.shape != shape:
            raise RuntimeError(
                f"{name}: expected weight and bias of normalized_shape {list(shape)}, "
                f"but got {list(p.array.shape)}"
            )
    return tuple(range(x.array.ndim - n, x.array.ndim))


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Mean 0 and variance 1 over the last axes, times weight, plus bias; both may be None."""
    dim = _last_axes("layer_norm", input, normalized_shape, weight, bias)
    shape, dtype = input.array.shape[dim[0] :], input.array.dtype
    weight = wrap(np.ones(shape, dtype)) if weight is None else weight
    bias = wrap(np.zeros(shape, dtype)) if bias is None else bias
    return apply(
        normalization.layer_norm, *operands(input, weight, bias, floating=True), dim=dim, eps=eps
    )


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Divided by the root of the mean square over the last axes, times weight."""
    dim = _last_axes("rms_norm", input, normalized_shape, weight)
    shape, dtype = input.array.shape[dim[0] :], input.array.dtype
    weight = wrap(np.ones(shape, dtype)) if weight is None else weight
    eps = float(np.finfo(dtype).eps) if eps is None else eps
    return apply(normalization.rms_norm, *operands(input, weight, floating=True), dim=dim, eps=eps)
