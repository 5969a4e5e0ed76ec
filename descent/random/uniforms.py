"""Uniform numbers and what one uniform number each makes: Bernoulli and exponential.

    float32: u = (w mod 2²⁴) / 2²⁴, one word w        float64: u = (w mod 2⁵³) / 2⁵³, two words
    uniform = u · (high - low) + low,   bernoulli = [u < p],   exponential = -ln(1 - u) / λ

PyTorch 2.13, ATen/core/TransformationHelper.h. All are bit-equal to it (x86 with FMA).
"""

import math
from typing import Any

import numpy as np

from descent.random.engine import Generator, Shape, as_float_dtype, as_shape, draw, resolve
from descent.random.fma import fma

__all__ = ["rand", "uniform", "bernoulli", "exponential"]


@draw
def rand(shape: Shape, dtype: Any = np.float32, generator: Generator | None = None) -> np.ndarray:
    """Uniform on [0, 1), of the given shape, float32 or float64."""
    kind, dims = as_float_dtype(dtype, "rand"), as_shape(shape)
    return unit(resolve(generator), math.prod(dims), kind).reshape(dims)


@draw
def uniform(
    shape: Shape,
    low: float = 0.0,
    high: float = 1.0,
    dtype: Any = np.float32,
    generator: Generator | None = None,
) -> np.ndarray:
    """Uniform on [low, high), as `Tensor.uniform_`. Raises RuntimeError for low > high."""
    kind, dims = as_float_dtype(dtype, "uniform"), as_shape(shape)
    limit = float(np.finfo(kind).max)
    for name, value in (("from", low), ("to", high)):
        if not -limit <= value <= limit:
            raise RuntimeError(f"{name} is out of bounds for {kind}: {name}={value}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}"
        )
    if high - low > limit:
        raise RuntimeError(
            f"uniform_ expects to-from <= {limit}, the largest {kind}, "
            f"but found to={high} and from={low}"
        )
    start, end = kind.type(low), kind.type(high)
    values = fma(unit(resolve(generator), math.prod(dims), kind), end - start, start)
    values[values == end] = start  # rounding can reach the excluded end
    return values.reshape(dims)


@draw
def bernoulli(
    p: Any,
    shape: Shape | None = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> np.ndarray:
    """1 with probability p, else 0. Raises RuntimeError for p outside [0, 1].

    A number p is `Tensor.bernoulli_(p)`, also what dropout draws its mask with: a float64 uniform
    (two words) for each element, whatever the dtype (float32 unless given); `shape` is needed.
    An array p is `torch.bernoulli(p)`: p's dtype decides how u is drawn, p is broadcast to
    `shape` (its own unless given), and the result has p's dtype unless given.
    """
    if isinstance(p, np.ndarray):
        return _bernoulli_each(p, shape, dtype, resolve(generator))
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    if shape is None:
        raise TypeError("bernoulli needs a shape when p is a number")
    dims = as_shape(shape)
    u = unit(resolve(generator), math.prod(dims), np.dtype(np.float64))
    return (u < float(p)).astype(np.float32 if dtype is None else dtype).reshape(dims)


def _bernoulli_each(
    p: np.ndarray, shape: Shape | None, dtype: Any, generator: Generator
) -> np.ndarray:
    kind = as_float_dtype(p.dtype, "bernoulli")
    wrong = p[~((p >= 0) & (p <= 1))]
    if wrong.size:
        raise RuntimeError(f"bernoulli expects every p to be in [0, 1], but got p={wrong[0]}")
    p = p if shape is None else np.broadcast_to(p, as_shape(shape))
    u = unit(generator, p.size, kind).reshape(p.shape)
    return (u < p).astype(kind if dtype is None else dtype)


@draw
def exponential(
    shape: Shape,
    lambd: float = 1.0,
    dtype: Any = np.float32,
    generator: Generator | None = None,
) -> np.ndarray:
    """Exponential with rate lambd > 0, as `Tensor.exponential_`; computed in float64."""
    kind, dims = as_float_dtype(dtype, "exponential"), as_shape(shape)
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    u = unit(resolve(generator), math.prod(dims), np.dtype(np.float64))
    scale = -1.0 / float(lambd)
    if kind == np.float64:
        return (scale * _log1p(-u)).reshape(dims)
    values = scale * np.log1p(-u)
    # NumPy's log1p may be off in the last bits; that reaches a float32 only beside a midpoint.
    low_bits = values.view(np.int64) & ((1 << 29) - 1)
    doubtful = np.abs(low_bits - (1 << 28)) < 64
    values[doubtful] = scale * _log1p(-u[doubtful])
    return values.astype(np.float32).reshape(dims)


def unit(generator: Generator, n: int, kind: np.dtype) -> np.ndarray:
    """The next n uniforms on [0, 1): one word each for float32, two for float64."""
    if kind == np.float32:
        low24 = generator.random32(n) & np.uint32((1 << 24) - 1)
        return low24.astype(np.float32) * np.float32(2.0**-24)
    low53 = generator.random64(n) & np.uint64((1 << 53) - 1)
    return low53.astype(np.float64) * 2.0**-53


def _log1p(x: np.ndarray) -> np.ndarray:
    # The C library's log1p, which PyTorch calls; NumPy's vectorised one differs in the last bit.
    return np.fromiter(map(math.log1p, x.tolist()), np.float64, x.size)
