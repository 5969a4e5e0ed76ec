"""Normal numbers by Box & Muller's transform of two uniforms:   √(-2 ln u₁) · (cos 2πu₂, sin 2πu₂)

Box & Muller 1958. PyTorch has two forms of it, and the size chooses:
  n < 16   one pair at a time in float64; the second number waits in the generator for a next call;
  n ≥ 16   blocks of 16 (8 u₁, then 8 u₂) in the dtype itself; a rest redraws the last 16 elements.
float32 blocks go through Cephes' single-precision log, sin and cos (Moshier 1989; in PyTorch
avx_mathfun.h) with fused multiply-adds, written out below, since every rounding shows.
Measured against PyTorch 2.13 on x86 with AVX2: bit-equal, float32 and float64. On other processors
PyTorch uses other functions and differs from itself, and so from us, in the last bits of float32.
"""

import math
from typing import Any

import numpy as np

from descent.random.engine import Generator, Shape, as_float_dtype, as_shape, draw, resolve
from descent.random.fma import fma, fma32
from descent.random.uniforms import unit

__all__ = ["normal", "pair_by_pair", "randn"]

_BLOCK = 16
_CHUNK = 1 << 11  # blocks transformed at a time: the temporaries stay in cache


@draw
def randn(shape: Shape, dtype: Any = np.float32, generator: Generator | None = None) -> np.ndarray:
    """Standard normal numbers of the given shape, float32 or float64."""
    return normal(0.0, 1.0, shape, dtype, generator)


@draw
def normal(
    mean: float,
    std: float,
    shape: Shape,
    dtype: Any = np.float32,
    generator: Generator | None = None,
) -> np.ndarray:
    """Normal numbers with this mean and std ≥ 0, as `Tensor.normal_` on a contiguous tensor."""
    kind, dims = as_float_dtype(dtype, "normal"), as_shape(shape)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    n, source = math.prod(dims), resolve(generator)
    if n < _BLOCK:
        values = fma(pair_by_pair(n, source), std, mean).astype(kind)
    else:
        values = _in_blocks(n, kind, float(mean), float(std), source)
    return values.reshape(dims)


def pair_by_pair(n: int, source: Generator) -> np.ndarray:
    """n standard normal numbers in float64; the second of an unfinished pair waits."""
    values: list[float] = []
    with source.lock:
        if n and source.next_normal is not None:
            values.append(source.next_normal)
            source.next_normal = None
        pairs = (n - len(values) + 1) // 2
        u = unit(source, 2 * pairs, np.dtype(np.float64)).tolist()
        for turn, height in zip(u[::2], u[1::2]):
            radius = math.sqrt(-2.0 * math.log1p(-height))
            theta = 2.0 * math.pi * turn
            values += [radius * math.cos(theta), radius * math.sin(theta)]
        if len(values) > n:
            source.next_normal = values.pop()
    return np.array(values, np.float64)


def _in_blocks(n: int, kind: np.dtype, mean: float, std: float, source: Generator) -> np.ndarray:
    tail = _BLOCK if n % _BLOCK else 0
    u = unit(source, n + tail, kind)
    whole = n // _BLOCK * _BLOCK
    values = np.empty(n, kind)
    for start in range(0, whole, _CHUNK * _BLOCK):
        stop = min(start + _CHUNK * _BLOCK, whole)
        values[start:stop] = fma(_box_muller(u[start:stop]), std, mean)
    if tail:
        values[n - _BLOCK :] = fma(_box_muller(u[n:]), std, mean)
    return values


def _box_muller(u: np.ndarray) -> np.ndarray:
    u = u.reshape(-1, 2, 8)  # [block, (u₁, u₂), 8]
    half = _box_muller32 if u.dtype == np.float32 else _box_muller64
    return half(1 - u[:, 0], u[:, 1]).ravel()  # 1 - u: from [0, 1) to (0, 1], for the logarithm


def _box_muller64(u1: np.ndarray, u2: np.ndarray) -> np.ndarray:
    radius = np.sqrt(-2.0 * _each(math.log, u1))
    theta = 2.0 * math.pi * u2
    return np.stack([radius * _each(math.cos, theta), radius * _each(math.sin, theta)], axis=1)


def _each(function: Any, x: np.ndarray) -> np.ndarray:
    # The C library's functions, which PyTorch calls; NumPy's own differ in the last bit.
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _box_muller32(u1: np.ndarray, u2: np.ndarray) -> np.ndarray:
    radius = np.sqrt(np.float32(-2) * _log32(u1))
    sine, cosine = _sincos32(np.float32(2 * math.pi) * u2)
    return np.stack([radius * cosine, radius * sine], axis=1)


def _coefficients(*values: float) -> list[np.float32]:
    return [np.float32(value) for value in values]


_LOG = _coefficients(
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_SIN = _coefficients(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = _coefficients(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
# ln 2 and π/4 in parts that multiply small integers without rounding
_LN2_LOW, _LN2_HIGH = _coefficients(-2.12194440e-4, 0.693359375)
_MINUS_QUARTER_PI = _coefficients(-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
_ONE, _HALF, _SQRT_HALF = _coefficients(1.0, 0.5, 0.707106781186547524)


def _polynomial(x: np.ndarray, coefficients: list[np.float32]) -> np.ndarray:
    """Horner's rule, highest power first, every step fused."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y = fma32(y, x, coefficient)
    return y


def _log32(x: np.ndarray) -> np.ndarray:
    """ln x for normal float32 x > 0: x = m · 2^e with √½ ≤ m < √2, ln x = e ln 2 + P(m - 1)."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < _SQRT_HALF
    e = (exponent - low).astype(np.float32)
    m = np.where(low, mantissa + mantissa, mantissa) - _ONE  # exact: Sterbenz
    square = m * m
    y = _polynomial(m, _LOG) * m
    y = fma32(y, square, e * _LN2_LOW)
    y = y - square * _HALF
    return fma32(e, _LN2_HIGH, m + y)


def _sincos32(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sin x, cos x) for float32 0 ≤ x < 8192: fold into ±π/4, evaluate both, choose by octant."""
    octant = ((x * np.float32(4 / math.pi)).astype(np.int32) + 1) & ~1
    j = octant.astype(np.float32)
    for part in _MINUS_QUARTER_PI:
        x = fma32(j, part, x)
    square = x * x
    cosine = fma32(_polynomial(square, _COS) * square, square, -(square * _HALF)) + _ONE
    sine = fma32(_polynomial(square, _SIN) * square, x, x)
    swapped = (octant & 2) != 0
    sine, cosine = np.where(swapped, cosine, sine), np.where(swapped, sine, cosine)
    flip_sine, flip_cosine = (octant & 4) != 0, ((octant + 2) & 4) != 0
    return np.where(flip_sine, -sine, sine), np.where(flip_cosine, -cosine, cosine)
