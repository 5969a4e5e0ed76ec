"""Logarithms and powers as plain arithmetic, so that a loop runs them several numbers at a time.

    x = 2ⁿ m,  √½ ≤ m < √2,  f = m − 1:      ln x = n ln 2 + f − f²/2 + f³ p(f)
    ln(1 + x): u = 1 + x rounded, its rounding error added to f
    aᵇ = ± 2^(b log₂ |a|), in float64: the exponent needs seven binary digits more than the result

Same rules as `vectormath` (no calls; choices, not branches; float32 in, float32 out). Errors over
all float32 numbers, in units in the last place: log 0.9, log1p 1.2, log2 1.7, log10 1.9, pow 0.51.
Subnormal numbers are scaled up first. Shape of the reduction: Cephes (Moshier 1989), logf; the
polynomial is fitted here.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["log1p32", "log2_32", "log10_32", "log32", "pow32"]

f32 = np.float32
ZERO, HALF, ONE, INF, NAN = f32(0), f32(0.5), f32(1), f32(np.inf), f32(np.nan)
NORMAL, UP, UP_BITS = f32(2.0**-126), f32(2.0**23), f32(23)  # below the first, scale by the second
ROOT_HALF = np.int32(0x3F3504F3)  # the bits of √½
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.12194440e-4)  # their sum is ln 2, n · high is exact
LOG2_E = f32(math.log2(math.e))
LOG10_E = f32(math.log10(math.e))
LG2_HIGH = f32(0.301025390625)  # log₁₀ 2 in 11 bits, and the rest
LG2_LOW = f32(math.log10(2) - 0.301025390625)
L0, L1, L2 = f32(3.3333312604e-01), f32(-2.5000009599e-01), f32(2.0002118658e-01)
L3, L4, L5 = f32(-1.6667995857e-01), f32(1.4219552381e-01), f32(-1.2405588884e-01)
L6, L7, L8 = f32(1.1888162097e-01), f32(-1.1675651968e-01), f32(6.7466410513e-02)


def tail32(f):
    """ln(1 + f) − f for √½ ≤ 1 + f < √2."""
    p = (((L8 * f + L7) * f + L6) * f + L5) * f + L4
    p = (((p * f + L3) * f + L2) * f + L1) * f + L0
    return f * f * (f * p) - HALF * (f * f)


def checked32(x, y):
    """The logarithm y of x, or what stands for it where there is none."""
    return (y if x < INF else x) if x > ZERO else -INF if x == ZERO else NAN


def log32(x):
    """ln x for a float32."""
    small = x < NORMAL
    bits = np.float32(x * UP if small else x).view(np.int32)
    e = np.int32(np.int32(bits - ROOT_HALF) >> 23)
    f = np.int32(bits - np.int32(e << 23)).view(np.float32) - ONE
    n = np.float32(e) - (UP_BITS if small else ZERO)
    y = f + (tail32(f) + n * LN2_LOW) + n * LN2_HIGH
    return checked32(x, y)


def log2_32(x):
    """log₂ x for a float32; exact for powers of two."""
    small = x < NORMAL
    bits = np.float32(x * UP if small else x).view(np.int32)
    e = np.int32(np.int32(bits - ROOT_HALF) >> 23)
    f = np.int32(bits - np.int32(e << 23)).view(np.float32) - ONE
    n = np.float32(e) - (UP_BITS if small else ZERO)
    return checked32(x, (f + tail32(f)) * LOG2_E + n)


def log10_32(x):
    """log₁₀ x for a float32."""
    small = x < NORMAL
    bits = np.float32(x * UP if small else x).view(np.int32)
    e = np.int32(np.int32(bits - ROOT_HALF) >> 23)
    f = np.int32(bits - np.int32(e << 23)).view(np.float32) - ONE
    n = np.float32(e) - (UP_BITS if small else ZERO)
    return checked32(x, (f + tail32(f)) * LOG10_E + n * LG2_LOW + n * LG2_HIGH)


def log1p32(x):
    """ln(1 + x) for a float32, exact near 0."""
    u = ONE + x
    back = u - ONE
    lost = (ONE - (u - back)) + (x - back)  # 1 + x = u + lost, exactly
    bits = np.float32(u).view(np.int32)
    e = np.int32(np.int32(bits - ROOT_HALF) >> 23)
    scale = np.int32(np.int32(127 - min(e, 126)) << 23).view(np.float32)  # 2⁻ⁿ
    f = np.int32(bits - np.int32(e << 23)).view(np.float32) - ONE
    c = lost * scale
    n = np.float32(e)
    y = f + (tail32(f) + (c - c * f + n * LN2_LOW)) + n * LN2_HIGH
    return x if x == ZERO else checked32(u, y)


LOWEST, HIGHEST, INF64 = -160.0, 160.0, np.inf  # beyond these exponents a float32 is 0 or ∞
ROOT_HALF_64 = 0x3FE6A09E667F3BCD
G0, G1, G2, G3, G4, G5, G6 = (2 / math.log(2) / k for k in (1, 3, 5, 7, 9, 11, 13))
H1, H2, H3, H4, H5, H6, H7, H8 = (math.log(2) ** k / math.factorial(k) for k in range(1, 9))


def log2_64(v):
    """log₂ v for a float64 in the range of float32s, 0 and ∞ included, to 38 binary digits."""
    bits = np.float64(v).view(np.int64)
    e = (bits - ROOT_HALF_64) >> 52
    m = np.int64(bits - (e << 52)).view(np.float64)
    t = (m - 1.0) / (m + 1.0)  # ln m = 2 artanh t
    s = t * t
    p = ((((((G6 * s + G5) * s + G4) * s + G3) * s + G2) * s + G1) * s + G0) * t
    p = p + np.float64(np.int32(e))
    return -INF64 if v == 0 else p if v < INF64 else v


def pow32(a, b):
    """a to the power of b for float32s, as C's powf."""
    z = np.float64(b) * log2_64(np.float64(abs(a)))
    z = min(max(z, LOWEST), HIGHEST)
    n = np.floor(z + 0.5)
    r = z - n
    y = (((((((H8 * r + H7) * r + H6) * r + H5) * r + H4) * r + H3) * r + H2) * r + H1) * r + 1.0
    scale = np.int64((np.int64(np.int32(n)) + 1023) << 52).view(np.float64)
    y = np.float32(y * scale)
    whole = np.floor(b) == b
    odd = whole and np.floor(HALF * b) != HALF * b
    y = -y if odd and np.float32(a).view(np.int32) < 0 else y
    y = NAN if a < ZERO and not whole and a > -INF else y
    return ONE if b == ZERO or a == ONE or (a == -ONE and abs(b) == INF) else y
