"""Normalisation over the last axes, over channels, over groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.nn.functional.padding import pad
from descent.ops import normalization
from descent.tensor.common import operands

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm",
]  # fmt: skip


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
    weight, bias = _affine(weight, bias, input.array.shape[dim[0] :], input.array.dtype)
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


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Every channel of input [N, C, …] to mean 0 and variance 1, times weight, plus bias.

    In training the statistics are the batch's, and the running ones move towards them (the
    variance unbiased): running ← (1 − momentum) running + momentum batch. Else the running ones
    are used.

    Raises:
        ValueError: in training with one value per channel; RuntimeError: for sizes that do not fit.
    """
    if not input.array.size:
        return input * 1
    channels = _channels("batch_norm", input, running_mean, running_var, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: running_mean and running_var are needed in evaluation")
        return _scaled(input, running_mean.array, running_var.array, weight, bias, eps)
    count = input.array.size // channels
    if count == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{list(input.array.shape)}"
        )
    w, b = _affine(weight, bias, (channels,), input.array.dtype)
    x, w, b = operands(input, w, b, floating=True)
    y, mean, var = apply(normalization.batch_norm, x, w, b, dim=1, eps=eps)
    _move(running_mean, mean.array, momentum)
    _move(running_var, var.array * (count / (count - 1)), momentum)
    return y


def _move(running: Any, new: np.ndarray, momentum: float) -> None:
    if running is not None:
        running.array[...] = running.array * (1 - momentum) + new * momentum
        running.version[0] += 1


def _channels(name: str, x: Any, *parameters: Any) -> int:
    """The size of axis 1; raises unless every parameter has it."""
    if x.array.ndim < 2:
        raise RuntimeError(f"{name}: expected input [N, C, …], got {list(x.array.shape)}")
    channels = x.array.shape[1]
    for p in parameters:
        if p is not None and p.array.size != channels:
            raise RuntimeError(
                f"{name}: a parameter of {p.array.size} elements does not fit {channels} channels "
                f"of input {list(x.array.shape)}"
            )
    return channels


def _affine(weight: Any, bias: Any, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Any, Any]:
    """Weight and bias, ones and zeros in place of None."""
    return (
        wrap(np.ones(shape, dtype)) if weight is None else weight,
        wrap(np.zeros(shape, dtype)) if bias is None else bias,
    )


def _per_channel(t: Any, x: Any) -> Any:
    return t.reshape([1, -1] + [1] * (x.array.ndim - 2))


def _scaled(x: Any, mean: np.ndarray, var: np.ndarray, weight: Any, bias: Any, eps: float) -> Any:
    """(x − mean) / √(var + ε) · weight + bias with fixed statistics per channel."""
    scale = wrap((1 / np.sqrt(var + var.dtype.type(eps))).astype(x.array.dtype))
    scale = scale if weight is None else scale * weight
    shift = -(scale * wrap(mean.astype(x.array.dtype)))
    shift = shift if bias is None else shift + bias
    return x * _per_channel(scale, x) + _per_channel(shift, x)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Mean 0 and variance 1 within each group of channels of input [N, C, …].

    Wu, He 2018, arXiv:1803.08494.
    """
    channels = _channels("group_norm", input, weight, bias)
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input "
            f"of shape {list(input.array.shape)} and num_groups={num_groups}"
        )
    shape = input.array.shape
    size = input.array.size // max(shape[0] * num_groups, 1)
    rows = input.reshape(shape[0], num_groups, size)  # [N, G, C/G · …]
    y = layer_norm(rows, (size,), eps=eps).reshape(shape)
    y = y if weight is None else y * _per_channel(weight, input)
    return y if bias is None else y + _per_channel(bias, input)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Mean 0 and variance 1 within each channel of each sample of input [N, C, L, …].

    Ulyanov et al. 2016, arXiv:1607.08022.
    """
    channels = _channels("instance_norm", input, running_mean, running_var, weight, bias)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    places = input.array.size // max(channels * input.array.shape[0], 1)
    if places <= 1:
        raise ValueError(
            "Expected more than 1 spatial element when training, got input size "
            f"{list(input.array.shape)}"
        )
    flat = input.array.reshape(*input.array.shape[:2], places)  # [N, C, L]
    if running_mean is not None:
        _move(running_mean, flat.mean(2).mean(0), momentum)
        _move(running_var, flat.var(2, ddof=1).mean(0), momentum)
    return group_norm(input, channels, weight, bias, eps)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """input / (k + alpha · mean of input² over `size` neighbouring channels)^beta.

    Krizhevsky et al. 2012, "ImageNet Classification with Deep CNNs", 3.3 (there a sum).
    """
    if input.array.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input, got {input.array.ndim}D")
    if not input.array.size:
        return input
    channels = input.array.shape[1]
    around = [0, 0] * (input.array.ndim - 2) + [size // 2, (size - 1) // 2]
    squares = pad(input * input, around)
    total = squares[:, :channels]
    for i in range(1, size):
        total = total + squares[:, i : i + channels]
    return input / (total / size * alpha + k) ** beta
