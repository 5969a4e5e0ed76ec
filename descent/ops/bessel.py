"""Modified Bessel functions of the first kind, plain and scaled by e^−|x|.

    I₀(x) = Σ_k (x²/4)ᵏ / k!²          I₁(x) = (x/2) Σ_k (x²/4)ᵏ / (k! (k+1)!)
    e^−x I_ν(x) ~ 1/√(2πx) Σ_k (−1)ᵏ a_k(ν) / xᵏ    (from x = 20 on)

Every term of the series is positive, so nothing cancels. NIST Handbook, §10.25.2, §10.40.1.
"""

from __future__ import annotations

import math

import numpy as np

from descent.op import elementwise

__all__ = ["i0", "i0e", "i1", "i1e"]

NEAR = 20.0
TERMS, FAR_TERMS = 60, 25
TWO_PI = 2 * math.pi


def series(x, order):
    """I₀ or I₁ of |x| ≤ 20, also of arrays."""
    quarter = 0.25 * x * x
    term = 0 * x + 1 if order == 0 else 0.5 * x
    total = term
    for k in range(1, TERMS):
        term = term * quarter / (k * (k + order))
        total = total + term
    return total


def asymptote(x, order):
    """e^−x I₀(x) or e^−x I₁(x) for x ≥ 20, also of arrays."""
    term = 0 * x + 1
    total = term
    for k in range(1, FAR_TERMS):
        odd = 2 * k - 1
        term = term * (odd * odd - 4 * order * order) / (8 * k * x)
        total = total + term
    return total / np.sqrt(TWO_PI * x)


def scaled(x, order):
    """e^−|x| I(x) of one number."""
    a = abs(x)
    if a <= NEAR:
        return np.exp(-a) * series(x, order)
    far = asymptote(a, order)
    return far if x > 0 or order == 0 else -far


def plain(x, order):
    """I(x) of one number."""
    a = abs(x)
    if a <= NEAR:
        return series(x, order)
    far = np.exp(0.5 * a) * asymptote(a, order) * np.exp(0.5 * a)  # e^a alone overflows earlier
    return far if x > 0 or order == 0 else -far


def scaled_arrays(x, order):
    """e^−|x| I(x) of an array, computed in float64."""
    z = np.asarray(x, np.float64)
    a = abs(z)
    near = np.exp(-a) * series(np.clip(z, -NEAR, NEAR), order)
    far = asymptote(np.maximum(a, NEAR), order)
    return np.where(a <= NEAR, near, far if order == 0 else np.copysign(far, z)).astype(x.dtype)


def plain_arrays(x, order):
    """I(x) of an array, computed in float64."""
    z = np.asarray(x, np.float64)
    half = np.exp(0.5 * abs(z))
    return (half * scaled_arrays(z, order) * half).astype(x.dtype)


def over(y, x):
    """y/x for I₁(x)/x, ½ at 0."""
    return y / x if x != 0 else 0.5 + 0 * y


def over_arrays(y, x):
    """The same for arrays."""
    return np.where(x == 0, 0.5, y / x)


@elementwise
def i0(x):
    """I₀(x)."""
    return plain(x, 0)


@elementwise
def i0e(x):
    """e^−|x| I₀(x)."""
    return scaled(x, 0)


@elementwise
def i1(x):
    """I₁(x)."""
    return plain(x, 1)


@elementwise
def i1e(x):
    """e^−|x| I₁(x)."""
    return scaled(x, 1)


i0.numpy(lambda x: plain_arrays(x, 0))
i0e.numpy(lambda x: scaled_arrays(x, 0))
i1.numpy(lambda x: plain_arrays(x, 1))
i1e.numpy(lambda x: scaled_arrays(x, 1))


@i0.grad
def _(x, dy):
    return dy * plain(x, 1)


@i1.grad
def _(x, y, dy):
    return dy * (plain(x, 0) - over(y, x))


@i0e.grad
def _(x, y, dy):
    return dy * (scaled(x, 1) - (y if x > 0 else -y if x < 0 else 0 * y))


@i1e.grad
def _(x, y, dy):
    return dy * (scaled(x, 0) - over(y, x) - (y if x > 0 else -y))


i0.derivatives["x"].numpy(lambda x, dy: dy * plain_arrays(x, 1))
i1.derivatives["x"].numpy(lambda x, y, dy: dy * (plain_arrays(x, 0) - over_arrays(y, x)))
i0e.derivatives["x"].numpy(lambda x, y, dy: dy * (scaled_arrays(x, 1) - np.sign(x) * y))
i1e.derivatives["x"].numpy(
    lambda x, y, dy: dy * (scaled_arrays(x, 0) - over_arrays(y, x) - np.sign(x) * y)
)
