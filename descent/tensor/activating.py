"""Activations of tensors, as functions of `descent` and of `descent.nn.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent import random
from descent.autograd import apply, wrap
from descent.ops import activations, rectifiers
from descent.tensor.calling import in_place, need_tensor, unary
from descent.tensor.common import axis, cast, operands
from descent.tensor.pointwise import abs, div, mul, sigmoid, sub, tanh
from descent.tensor.shaping import reshape

__all__ = ["celu", "hardshrink", "prelu", "relu", "relu_", "rrelu", "selu", "threshold"]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

relu = unary(rectifiers.relu, kinds="iuf")
silu = unary(activations.silu, floating=True)
mish = unary(activations.mish, floating=True)
logsigmoid = unary(activations.logsigmoid, floating=True)
hardsigmoid = unary(rectifiers.hardsigmoid, floating=True)
hardswish = unary(rectifiers.hardswish, floating=True)


def _floats(input: Any, name: str) -> list[Any]:
    return operands(need_tensor(input, name), floating=True)


def gelu(input: Any, approximate: str = "none") -> Any:
    """input · Φ(input); `approximate="tanh"` takes GPT-2's formula."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")
    op = activations.gelu_tanh if approximate == "tanh" else activations.gelu
    return apply(op, *_floats(input, "gelu"))


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """input where positive, else negative_slope · input."""
    return apply(rectifiers.leaky_relu, *_floats(input, "leaky_relu"), slope=negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """input where positive, else weight · input; one weight, or one per channel (axis 1)."""
    x, w = need_tensor(input, "prelu"), need_tensor(weight, "prelu", "weight")
    if w.array.size != 1:
        channels = x.array.shape[1] if x.array.ndim > 1 else 1
        if w.array.ndim != 1 or w.array.size != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size: the weight has shape "
                f"{tuple(w.shape)}; axis 1 of the input of shape {tuple(x.shape)} has {channels}"
            )
        w = reshape(w, -1, *[1] * (x.array.ndim - 2))
    elif w.array.ndim > x.array.ndim:
        w = reshape(w, ())
    return apply(rectifiers.prelu, x, cast(w, x.array.dtype))


def elu(input: Any, alpha: float = 1.0) -> Any:
    """input where positive, else alpha · (e^input − 1)."""
    return apply(activations.elu, *_floats(input, "elu"), alpha=alpha)


def celu(input: Any, alpha: float = 1.0) -> Any:
    """max(0, x) + min(0, alpha · (e^(x / alpha) − 1)). arXiv:1704.07483."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return apply(activations.elu, *_floats(input, "celu"), alpha=alpha, input_scale=1.0 / alpha)


def selu(input: Any) -> Any:
    """Scaled elu that keeps mean 0 and variance 1. arXiv:1706.02515."""
    x = _floats(input, "selu")
    return apply(activations.elu, *x, alpha=SELU_ALPHA, scale=SELU_SCALE)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(beta · x)) / beta; x itself where beta · x exceeds the threshold."""
    return apply(activations.softplus, *_floats(input, "softplus"), beta=beta, threshold=threshold)


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return div(input, abs(input) + 1)


def tanhshrink(input: Any) -> Any:
    """x − tanh x."""
    return sub(input, tanh(input))


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Towards 0 by lambd."""
    if not lambd >= 0:
        raise RuntimeError(f"lambda must be at least 0, but found {lambd}")
    return apply(rectifiers.softshrink, *_floats(input, "softshrink"), lambd=lambd)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """0 within lambd of 0, else x."""
    return apply(rectifiers.hardshrink, *_floats(input, "hardshrink"), lambd=lambd)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x cut off at min_val and max_val."""
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val: {min_val} > {max_val}")
    x = need_tensor(input, "hardtanh")
    return apply(rectifiers.hardtanh, x, low=min_val, high=max_val)


def relu6(input: Any) -> Any:
    """min(max(0, x), 6)."""
    return hardtanh(input, 0, 6)


def threshold(input: Any, threshold: float, value: float) -> Any:
    """x where it exceeds the threshold, else the value."""
    x = need_tensor(input, "threshold")
    return apply(rectifiers.threshold, x, limit=threshold, value=value)


def glu(input: Any, dim: int = -1) -> Any:
    """a · σ(b), a and b the halves of the input along `dim`. arXiv:1612.08083."""
    if not need_tensor(input, "glu").array.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    dim = axis(dim, input.array.ndim)
    size = input.array.shape[dim]
    if size % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {size} "
            f"in a tensor of shape {tuple(input.shape)}"
        )
    before = (slice(None),) * dim
    half = size // 2
    return mul(input[(*before, slice(0, half))], sigmoid(input[(*before, slice(half, size))]))


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Any:
    """leaky_relu with a slope drawn from [lower, upper] per element; their mean when evaluating."""
    if lower > upper:
        raise RuntimeError(
            f"Lower bound should be less than or equal to the upper bound: {lower} > {upper}"
        )
    x = need_tensor(input, "rrelu")
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    slopes = np.ones_like(x.array)
    bent = x.array <= 0  # PyTorch draws for these alone, in float64
    slopes[bent] = random.uniform(int(bent.sum()), lower, upper, dtype=np.float64)
    return mul(x, wrap(slopes))


relu_ = in_place(relu)


class ActivatingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    relu, relu_, hardshrink, prelu = relu, relu_, hardshrink, prelu
