"""Initial values: how large random weights must be for signals to keep their size.

    Xavier:   std = gain · √(2 / (fan_in + fan_out))     Glorot & Bengio 2010
    Kaiming:  std = gain / √fan                          He et al. 2015, arXiv:1502.01852

fan_in of a weight [out, in, …] is in · (product of the rest); a uniform draw with this std lies in
±√3 · std. All functions write into the tensor they get, consume the random stream as PyTorch's do
(same seed, same weights), and return it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from descent import random

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_",
    "normal_", "ones_", "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_",
    "without_values", "xavier_uniform_", "zeros_",
]  # fmt: skip

_skipped: ContextVar[bool] = ContextVar("initial values skipped", default=False)


@contextmanager
def without_values() -> Iterator[None]:
    """Build modules whose weights come from a file: nothing is drawn or written meanwhile.

    Their parameters are zeros that take no memory until they are touched; the random stream stays
    where it is.
    """
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


_LINEAR = {"linear", "conv1d", "conv2d", "conv3d", "sigmoid"}


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """By how much the weights before this activation are scaled up to make up for it."""
    if nonlinearity in _LINEAR or nonlinearity.startswith("conv_transpose"):
        return 1.0
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, (int, float))):
            raise ValueError(f"negative_slope {param} not a valid number")
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    if nonlinearity not in gains:
        known = ", ".join(sorted({*_LINEAR, *gains, "leaky_relu"}))
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}; known are {known}")
    return gains[nonlinearity]


def _write(t: Any, values: Any) -> Any:
    if _skipped.get():
        return t
    t.array[...] = values
    t.version[0] += 1
    return t


def _draw_uniform(t: Any, a: float, b: float, generator: Any) -> np.ndarray:
    return random.uniform(t.array.shape, a, b, t.array.dtype, generator)


def _draw_normal(t: Any, mean: float, std: float, generator: Any) -> np.ndarray:
    return random.normal(mean, std, t.array.shape, t.array.dtype, generator)


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Uniform on [a, b)."""
    if _skipped.get():
        return tensor
    return _write(tensor, _draw_uniform(tensor, a, b, generator))


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Normal with this mean and standard deviation."""
    if _skipped.get():
        return tensor
    return _write(tensor, _draw_normal(tensor, mean, std, generator))


def constant_(tensor: Any, val: float) -> Any:
    """The same number everywhere."""
    return _write(tensor, val)


def ones_(tensor: Any) -> Any:
    """Ones."""
    return _write(tensor, 1)


def zeros_(tensor: Any) -> Any:
    """Zeros."""
    return _write(tensor, 0)


def eye_(tensor: Any) -> Any:
    """The identity matrix."""
    if tensor.array.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _write(tensor, np.eye(*tensor.array.shape))


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """The identity as a convolution: [out, in, K, …] with a 1 in the middle of the window."""
    shape = tensor.array.shape
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    per_group, middle = shape[0] // groups, tuple(n // 2 for n in shape[2:])
    values = np.zeros(shape, tensor.array.dtype)
    for g in range(groups):
        for d in range(min(per_group, shape[1])):
            values[(g * per_group + d, d, *middle)] = 1
    return _write(tensor, values)


def _fans(tensor: Any) -> tuple[int, int]:
    shape = tensor.array.shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Uniform, keeping the variance of signals forward and of gradients back (Glorot 2010)."""
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / float(sum(_fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Normal, keeping the variance of signals forward and of gradients back (Glorot 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(sum(_fans(tensor)))), generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _fans(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """Uniform, keeping the variance through ReLU-like activations (He et al. 2015)."""
    if not tensor.array.size:
        return _nothing_to_do(tensor)
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """Normal, keeping the variance through ReLU-like activations (He et al. 2015)."""
    if not tensor.array.size:
        return _nothing_to_do(tensor)
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _nothing_to_do(tensor: Any) -> Any:
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return tensor


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Any:
    """Normal, redrawn wherever it falls outside [a, b] (PyTorch ≥ 2.13 rejects; older inverted)."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    if inside > 0.3:
        kind = tensor.array.dtype.type
        values = _draw_normal(tensor, mean, std, generator)
        while (outside := (values < kind(a)) | (values > kind(b))).any():
            values = np.where(outside, _draw_normal(tensor, mean, std, generator), values)
        return _write(tensor, values)
    return _write(tensor, _rare_truncated(tensor, mean, std, a, b, generator))


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _rare_truncated(
    t: Any, mean: float, std: float, a: float, b: float, generator: Any
) -> np.ndarray:
    """Uniform candidates on [a, b), kept with probability density / (its peak on [a, b])."""
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2

    def refused(candidates: np.ndarray) -> np.ndarray:
        log_density = ((candidates - mean) / std) ** 2 * -0.5 - peak
        with np.errstate(divide="ignore"):
            return np.log(_draw_uniform(t, 0.0, 1.0, generator)) > log_density

    values = _draw_uniform(t, a, b, generator)
    pending = refused(values)
    while pending.any():
        candidates = _draw_uniform(t, a, b, generator)
        values = np.where(pending, candidates, values)
        pending = pending & refused(candidates)
    return values


def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """A (semi-)orthogonal matrix [rows, the rest], uniformly chosen (Saxe et al. 2013)."""
    shape = tensor.array.shape
    if len(shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if not tensor.array.size:
        return tensor
    rows, cols = shape[0], tensor.array.size // shape[0]
    flat = random.normal(0.0, 1.0, (rows, cols), tensor.array.dtype, generator)
    q, r = np.linalg.qr(flat.T if rows < cols else flat)
    q *= np.sign(np.diagonal(r))  # makes the choice uniform: arXiv:math-ph/0609050
    return _write(tensor, (q.T if rows < cols else q).reshape(shape) * gain)


def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Normal, with the same fraction of zeros in every column (Martens 2010)."""
    if tensor.array.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, cols = tensor.array.shape
    values = _draw_normal(tensor, 0.0, std, generator)
    for c in range(cols):
        values[random.randperm(rows)[: math.ceil(sparsity * rows)], c] = 0
    return _write(tensor, values)
