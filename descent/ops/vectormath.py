"""The exponential and its family as plain arithmetic: loops run them 16 numbers at a time.

    exp(x)  = 2ⁿ · exp(r),   n = round(x / ln 2),   r = x − n ln 2,   exp(r) ≈ 1 + r + r² p(r)
    exp x − 1 = 2ⁿ (exp(r) − 1) + (2ⁿ − 1)              2ˣ = 2ⁿ · 2^(x − n)
    tanh x  ≈ x + x³ p(x²) near 0,   1 − 2 / (exp(2|x|) + 1) elsewhere, with the sign of x
    σ(x)    = 1 / (1 + e) for x ≥ 0,   e / (1 + e) below,   e = exp(−|x|)
    erf x   ≈ x + x p(x²) near 0,   1 − exp(−q(|x|)) elsewhere, with the sign of x
    Φ(−|x|) ≈ 2^−n(|x|),   Φ(|x|) = 1 − Φ(−|x|)

The compiler calls a library for np.exp and its like, one number at a time; these have no calls, and
no branches but choices between two numbers, so it turns loops over them into vector instructions.
float32 only. Errors over all float32 numbers, measured in units in the last place of the result
(tests/ops/test_vectormath.py): exp 1.0, exp2 1.2, expm1 1.6, tanh 1.3, sigmoid 2.2, erf 1.3. ±0, ±∞
and NaN give what NumPy gives. Logarithms and powers are in `vectorlogs`, angles in `vectorangles`.

exp's polynomial: Cephes (Moshier 1989), expf. The others are fitted here: least greatest relative
error, by Lawson's weights (Lawson 1961).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from descent.ops.vectorangles import cos32, sin32
from descent.ops.vectorlogs import log1p32, log2_32, log10_32, log32, pow32

__all__ = [
    "FLOAT32", "cos32", "erf32", "exp2_32", "exp32", "expm1_32", "log10_32", "log1p32", "log2_32",
    "log32", "ndtr32", "pow32", "sigmoid32", "sin32", "tanh32",
]  # fmt: skip

f32 = np.float32
LOG2_E = f32(1.44269504088896341)
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.12194440e-4)  # their sum is ln 2, n · high is exact
P0, P1, P2 = f32(1.9875691500e-4), f32(1.3981999507e-3), f32(8.3334519073e-3)
P3, P4, P5 = f32(4.1665795894e-2), f32(1.6666665459e-1), f32(5.0000001201e-1)
LOWEST, HIGHEST = f32(-104.0), f32(89.0)  # beyond these the result is 0 or ∞
ZERO, HALF, ONE, TWO = f32(0), f32(0.5), f32(1), f32(2)

LOWEST_2, HIGHEST_2 = f32(-151.0), f32(129.0)
B0, B1, B2 = f32(6.9314720286e-01), f32(2.4022647914e-01), f32(5.5503324711e-02)
B3, B4, B5 = f32(9.6184373577e-03), f32(1.3398874415e-03), f32(1.5353361912e-04)

TINY = f32(1e-10)  # here expm1 and tanh are x itself, −0 included
ALL_BUT_ONE = f32(-20.0)  # exp(x) − 1 is −1 from here down

TANH_NEAR = f32(0.625)
T0, T1, T2 = f32(-3.3333281939e-01), f32(1.3331442111e-01), f32(-5.3739707403e-02)
T3, T4 = f32(2.0639061032e-02), f32(-5.7049565106e-03)

ERF_NEAR, ERF_ONE = f32(0.9), f32(4.0)  # 1 − erf 4 is a quarter of the last place of 1
E0, E1, E2 = f32(1.2837915380e-01), f32(-3.7612523276e-01), f32(1.1282140806e-01)
E3, E4, E5 = f32(-2.6778908712e-02), f32(5.0119625385e-03), f32(-6.0903586193e-04)
Q0, Q1, Q2 = f32(1.6644480833e-04), f32(1.1277972553e00), f32(6.3697605990e-01)
Q3, Q4, Q5 = f32(1.0411370112e-01), f32(-2.2315224842e-02), f32(3.0654935190e-03)
Q6 = f32(-1.9822001148e-04)

N0, N1, N2 = f32(9.9999995901e-01), f32(1.1511069413e00), f32(4.5919305692e-01)
N3, N4, N5 = f32(5.2546436898e-02), f32(-7.1427828950e-03), f32(2.0247972491e-04)
N6, N7, N8 = f32(1.5727846231e-04), f32(-3.2967949212e-05), f32(2.2758662595e-06)


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


def exp2_32(x):
    """2ˣ for a float32; exact for whole x."""
    x = min(max(x, LOWEST_2), HIGHEST_2)
    n = np.floor(x + HALF)
    r = x - n
    y = (((((B5 * r + B4) * r + B3) * r + B2) * r + B1) * r + B0) * r + ONE
    whole = np.int32(n)
    half = whole >> 1
    a = np.int32((half + 127) << 23).view(np.float32)
    b = np.int32((whole - half + 127) << 23).view(np.float32)
    return y * a * b


def expm1_32(x):
    """exp(x) − 1 for a float32, exact near 0."""
    v = min(max(x, ALL_BUT_ONE), HIGHEST)
    n = np.floor(v * LOG2_E + HALF)
    r = v - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = ((((P0 * r + P1) * r + P2) * r + P3) * r + P4) * r + P5
    y = p * (r * r) + r
    a = np.int32((np.int32(n) + 126) << 23).view(np.float32)  # 2ⁿ⁻¹: 2¹²⁸ is no float32
    y = TWO * (a * y + (a - HALF))
    return x if abs(x) < TINY else y


def tanh32(x):
    """tanh(x) for a float32."""
    a, s = abs(x), x * x
    near = x + x * s * ((((T4 * s + T3) * s + T2) * s + T1) * s + T0)
    far = ONE - TWO / (exp32(TWO * a) + ONE)
    near = x if a < TINY else near
    return near if a < TANH_NEAR else far if x > ZERO else -far


def sigmoid32(x):
    """1 / (1 + exp(−x)) for a float32."""
    e = exp32(-abs(x))
    return (ONE if x >= ZERO else e) / (ONE + e)


def erf32(x):
    """The error function of a float32."""
    a, s = abs(x), x * x
    a = a if not a > ERF_ONE else ERF_ONE
    near = x + x * (((((E5 * s + E4) * s + E3) * s + E2) * s + E1) * s + E0)
    q = (((((Q6 * a + Q5) * a + Q4) * a + Q3) * a + Q2) * a + Q1) * a + Q0
    far = ONE - exp32(-q)
    return near if a < ERF_NEAR else far if x > ZERO else -far


def ndtr32(x):
    """Φ(x), the normal distribution function, of a float32: within 1.2e-7."""
    a = abs(x)
    q = (((((N8 * a + N7) * a + N6) * a + N5) * a + N4) * a + N3) * a
    tail = exp2_32(-(((q + N2) * a + N1) * a + N0))
    return ONE - tail if x > ZERO else tail


# NumPy's name of a function → ours: what a compiler puts in the place of `np.exp` for float32.
# "erf", "ndtr" and "sigmoid" have no NumPy name; they stand for the ops of these names.
FLOAT32: dict[str, Callable[..., Any]] = {
    "cos": cos32,
    "erf": erf32,
    "exp": exp32,
    "exp2": exp2_32,
    "expm1": expm1_32,
    "log": log32,
    "log10": log10_32,
    "log1p": log1p32,
    "log2": log2_32,
    "ndtr": ndtr32,
    "power": pow32,
    "sigmoid": sigmoid32,
    "sin": sin32,
    "tanh": tanh32,
}
