"""Exponential and tanh as plain arithmetic, so that a compiled loop runs them 16 numbers at a time.

    exp(x) = 2ⁿ · exp(r),   n = round(x / ln 2),   r = x − n ln 2,   exp(r) ≈ 1 + r + r² p(r)
    tanh(u) = 1 − 2 / (exp(2u) + 1)

The compiler calls a library for np.exp and np.tanh, one number at a time; these have no branches
and no calls, so it turns loops over them into vector instructions. float32 only. exp32 is within
1 ulp of the true value over its whole range, right at ±∞ and NaN (tests/ops/test_vectormath.py);
tanh32 is within 2e-7 absolutely. Polynomial: Cephes (Moshier 1989), expf.
"""

from __future__ import annotations

import numpy as np

__all__ = ["exp32", "tanh32"]

f32 = np.float32
LOG2_E = f32(1.44269504088896341)
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.12194440e-4)  # their sum is ln 2, n · high is exact
P0, P1, P2 = f32(1.9875691500e-4), f32(1.3981999507e-3), f32(8.3334519073e-3)
P3, P4, P5 = f32(4.1665795894e-2), f32(1.6666665459e-1), f32(5.0000001201e-1)
LOWEST, HIGHEST = f32(-104.0), f32(89.0)  # beyond these the result is 0 or ∞
ZERO, HALF, ONE, TWO = f32(0), f32(0.5), f32(1), f32(2)


def exp32(x):
    """exp(x) for a float32."""
    x = min(max(x, LOWEST), HIGHEST)
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = ((((P0 * r + P1) * r + P2) * r + P3) * r + P4) * r + P5
    y = p * (r * r) + r + ONE
    whole = np.int32(n)
    half = whole >> 1  # 2ⁿ in two factors: n = 128 and n < −126 have no float32 of their own
    a = np.int32((half + 127) << 23).view(np.float32)
    b = np.int32((whole - half + 127) << 23).view(np.float32)
    return y * a * b


def tanh32(u):
    """tanh(u) for a float32."""
    return ONE - TWO / (exp32(TWO * u) + ONE)
