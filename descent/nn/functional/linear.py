"""Linear maps of the last axis."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.ops import products
from descent.tensor.common import operands

__all__ = ["linear"]


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """input weightᵀ + bias.

    Args:
        input: [..., K]; weight: [N, K] or [K]; bias: [N] (or [] with a 1-D weight), or None.

    Returns:
        [..., N]; [...] for a 1-D weight.

    Raises:
        RuntimeError: when the last axes of input and weight differ, or bias does not fit.
    """
    x, w = operands(input, weight)
    if w.array.ndim == 1 or not x.array.ndim:
        y = x @ w
        return y if bias is None else y + bias
    k, (n, k2) = x.array.shape[-1], w.array.shape
    if k != k2:
        raise RuntimeError(
            f"linear: the last axis of input {list(x.array.shape)} has size {k}; weight "
            f"{[n, k2]} expects {k2} (mat1 and mat2 shapes cannot be multiplied)"
        )
    if bias is None:
        return apply(products.linear, x, w)
    if bias.array.shape != (n,):
        return apply(products.linear, x, w) + bias
    return apply(products.affine, *operands(x, w, bias))
