"""Activations of tensors, as functions of `descent` and of `descent.nn.functional`."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.ops import activations
from descent.tensor.calling import in_place, need_tensor, unary
from descent.tensor.common import operands

__all__ = ["gelu", "leaky_relu", "relu", "relu_", "silu"]

relu = unary(activations.relu)
silu = unary(activations.silu, floating=True)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """input where positive, else negative_slope · input."""
    need_tensor(input, "leaky_relu")
    return apply(activations.leaky_relu, *operands(input, floating=True), slope=negative_slope)


def gelu(input: Any, approximate: str = "none") -> Any:
    """input · Φ(input); `approximate="tanh"` takes GPT-2's formula."""
    need_tensor(input, "gelu")
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")
    op = activations.gelu_tanh if approximate == "tanh" else activations.gelu
    return apply(op, *operands(input, floating=True))


relu_ = in_place(relu)


class ActivatingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    relu, relu_ = relu, relu_
