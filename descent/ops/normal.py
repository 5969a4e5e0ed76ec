"""The normal distribution: Φ, its logarithm and inverse; the inverse of erf; entropy.

    Φ(x) = ½ erfc(−x/√2)      erfcx x = e^(x²) erfc x      erfinv(erf x) = x

The inverses start from Winitzki's closed form (a = 0.147, 2e-3 off) and take Halley's steps, which
triple the number of right digits each time.
Winitzki 2008, "A handy approximation for the error function and its inverse".
"""

from __future__ import annotations

import math

import numpy as np

from descent.op import elementwise
from descent.ops.special import (
    TWO_OVER_SQRT_PI,
    K,
    P,
    Q,
    erf_arrays,
    erf_scalar,
    erfc_arrays,
    erfc_scalar,
    polynomial,
)

__all__ = ["entr", "erfcx", "erfinv", "log_ndtr", "ndtr", "ndtri"]

A = 0.147
B = 2 / (math.pi * A)
SQRT_HALF, SQRT_2 = math.sqrt(0.5), math.sqrt(2.0)
INV_SQRT_2PI, SQRT_2PI = 1 / math.sqrt(2 * math.pi), math.sqrt(2 * math.pi)
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
STEPS = 5


def start(w):
    """Winitzki's erfinv(x) for x ≥ 0, from w = ln(1 − x²)."""
    b = B + 0.5 * w
    return np.sqrt(np.sqrt(b * b - w / A) - b)


def halley(y, excess):
    """A better y, from erf(y) − x."""
    d = excess / (TWO_OVER_SQRT_PI * np.exp(-y * y))
    return y - d / (1 + y * d)


def erfc_inverse(q):
    """y ≥ 0 with erfc y = q, for 0 ≤ q ≤ 1."""
    if q == 0:
        return np.inf
    if q > 0.5:
        if q > 1 - 1e-9:
            return (1 - q) / TWO_OVER_SQRT_PI
        x = 1 - q
        y = start(np.log1p(-x * x))
        for _ in range(STEPS):
            y = halley(y, erf_scalar(y) - x)
        return y
    y = start(np.log(q * (2 - q)))
    for _ in range(STEPS):
        y = halley(y, q - erfc_scalar(y))
    return y


def erfc_inverse_arrays(q, x):
    """The same for arrays of q and of x = 1 − q (each exact where it is small)."""
    near = np.minimum(x, 0.5)
    y = start(np.log1p(-near * near))
    for _ in range(STEPS):
        y = halley(y, erf_arrays(y) - near)
    far = np.clip(q, 1e-310, 0.5)
    z = start(np.log(far * (2 - far)))
    for _ in range(STEPS):
        z = halley(z, far - erfc_arrays(z))
    return np.where(x < 0.5, y, np.where(q == 0, np.inf, z))


@elementwise
def erfinv(x):
    """Inverse of erf: NaN outside [−1, 1], ±∞ at its ends."""
    if not abs(x) <= 1:
        return np.nan
    if abs(x) < 1e-9:
        return x / TWO_OVER_SQRT_PI
    if abs(x) < 0.5:
        y = start(np.log1p(-x * x)) * (1 if x > 0 else -1)
        for _ in range(STEPS):
            y = halley(y, erf_scalar(y) - x)
        return y
    return erfc_inverse(1 - x) if x > 0 else -erfc_inverse(1 + x)


@erfinv.numpy
def _(x):
    z = np.asarray(x, np.float64)
    a = abs(z)
    y = np.copysign(erfc_inverse_arrays(1 - a, a), z)
    return np.where(a <= 1, y, np.nan).astype(x.dtype)


@erfinv.grad
def _(y, dy):
    return dy * np.exp(y * y) / TWO_OVER_SQRT_PI


@elementwise
def ndtr(x):
    """Φ(x): the chance that a standard normal number is at most x."""
    return 0.5 * erfc_scalar(-SQRT_HALF * x)


@ndtr.numpy
def _(x):
    return 0.5 * erfc_arrays(-SQRT_HALF * x)


@ndtr.grad
def _(x, dy):
    return dy * INV_SQRT_2PI * np.exp(-0.5 * x * x)


@elementwise
def ndtri(p):
    """Inverse of Φ: NaN outside [0, 1], ∓∞ at its ends."""
    if not 0 <= p <= 1:
        return np.nan
    return -SQRT_2 * erfc_inverse(2 * p) if p <= 0.5 else SQRT_2 * erfc_inverse(2 - 2 * p)


@ndtri.numpy
def _(p):
    z = np.asarray(p, np.float64)
    q = 2 * np.minimum(z, 1 - z)
    y = np.copysign(SQRT_2 * erfc_inverse_arrays(q, 1 - q), z - 0.5)
    return np.where((z >= 0) & (z <= 1), y, np.nan).astype(p.dtype)


@ndtri.grad
def _(y, dy):
    return dy * SQRT_2PI * np.exp(0.5 * y * y)


def scaled_tail(x):
    """erfcx x for x ≥ 1, also of arrays."""
    t = (x - K) / (x + K) if x < 1e10 else 1.0
    return polynomial(Q, t) / (x + K)


@elementwise
def erfcx(x):
    """e^(x²) erfc x, which stays in range where erfc underflows."""
    return erfcx_scalar(x)


def erfcx_scalar(x):
    """erfcx of one number."""
    if abs(x) <= 1:
        return np.exp(x * x) * (1 - x * polynomial(P, x * x))
    return scaled_tail(x) if x > 0 else 2 * np.exp(x * x) - scaled_tail(-x)


def erfcx_arrays(x):
    """erfcx of an array, computed in float64."""
    z = np.asarray(x, np.float64)
    a = abs(z)
    far = np.clip(a, 1, 1e10)
    tail = polynomial(Q, (far - K) / (far + K)) / (np.maximum(a, 1) + K)
    grown = np.exp(z * z)
    small = np.clip(z, -1, 1)
    near = np.exp(small * small) * (1 - small * polynomial(P, small * small))
    return np.where(a <= 1, near, np.where(z < 0, 2 * grown - tail, tail)).astype(x.dtype)


erfcx.numpy(erfcx_arrays)


@erfcx.grad
def _(x, y, dy):
    return dy * (2 * x * y - TWO_OVER_SQRT_PI)


@elementwise
def log_ndtr(x):
    """ln Φ(x), without loss far to the left."""
    if x < -1:
        return np.log(0.5 * erfcx_scalar(-SQRT_HALF * x)) - 0.5 * x * x
    return np.log1p(-0.5 * erfc_scalar(SQRT_HALF * x))


@log_ndtr.numpy
def _(x):
    left = np.log(0.5 * erfcx_arrays(np.asarray(-SQRT_HALF * np.minimum(x, -1))))
    right = np.log1p(-0.5 * erfc_arrays(np.asarray(SQRT_HALF * np.maximum(x, -1))))
    return np.where(x < -1, left - 0.5 * x * x, right)


@log_ndtr.grad
def _(x, dy):
    return dy * SQRT_2_OVER_PI / erfcx_scalar(-SQRT_HALF * x)


@log_ndtr.derivatives["x"].numpy
def _(x, dy):
    return dy * SQRT_2_OVER_PI / erfcx_arrays(np.asarray(-SQRT_HALF * x))


@elementwise
def entr(x):
    """Entropy −x ln x: 0 at 0, −∞ below."""
    return -x * np.log(x) if x > 0 else 0 if x == 0 else -np.inf if x < 0 else x


@entr.numpy
def _(x):
    return np.where(x > 0, -x * np.log(x), np.where(x == 0, 0, np.where(x < 0, -np.inf, x)))


@entr.grad
def _(x, dy):
    return dy * (-np.log(x) - 1)
