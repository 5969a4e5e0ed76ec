"""Linear maps of the last axis."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.ops import products
from descent.tensor.common import operands
from descent.tensor.contractions import einsum

__all__ = ["bilinear", "linear"]


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


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Σ_ij input1_i weight_oij input2_j + bias_o.

    input1 [..., I], input2 [..., J], weight [O, I, J], bias [O] or None → [..., O].
    """
    if input1.array.shape[:-1] != input2.array.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {list(input1.array.shape)} and "
            f"{list(input2.array.shape)}"
        )
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias
