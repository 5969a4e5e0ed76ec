"""The logarithm of the gamma function and its derivatives.

    Γ(x + 1) = x Γ(x)     ψ = (ln Γ)′     ψ⁽ⁿ⁾(x) = (−1)ⁿ⁺¹ n! ζ(n + 1, x)

Large arguments take Stirling's series; small ones are first moved up by 8 with the recurrence, and
negative ones reflected. ζ is summed with Euler and Maclaurin's tail.
NIST Handbook of Mathematical Functions, §5.5, §5.11, §25.11. Absolute error about 1e-14.
"""

from __future__ import annotations

import math

import numpy as np

from descent.op import elementwise
from descent.ops.special import polynomial

__all__ = ["digamma", "lgamma", "polygamma", "zeta"]

PI = math.pi
HALF_LN_2PI = 0.5 * math.log(2 * math.pi)
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
LOG_SERIES = tuple(b / (2 * (k + 1) * (2 * k + 1)) for k, b in enumerate(BERNOULLI))
PSI_SERIES = tuple(-b / (2 * (k + 1)) for k, b in enumerate(BERNOULLI))
SHIFT = 8
TERMS = 12  # of ζ, before the tail


def stirling(z):
    """ln Γ(z) for z ≥ 8."""
    w = 1 / (z * z)
    return (z - 0.5) * np.log(z) - z + HALF_LN_2PI + polynomial(LOG_SERIES, w) / z


def lgamma_positive(x):
    """ln Γ(x) for x > 0."""
    if x >= SHIFT:
        return stirling(x) if x < np.inf else x
    product = x
    for k in range(1, SHIFT):
        product = product * (x + k)
    return stirling(x + SHIFT) - np.log(product)


@elementwise
def lgamma(x):
    """ln |Γ(x)|."""
    if x > 0 or x != x:
        return lgamma_positive(x)
    if x == np.floor(x):  # the poles, and −∞
        return np.inf
    return np.log(PI / abs(np.sin(PI * (x - np.floor(x))))) - lgamma_positive(1 - x)


def lgamma_positive_arrays(x):
    """ln Γ(x) for an array of numbers > 0."""
    low = np.minimum(x, SHIFT)
    product = low.copy()
    for k in range(1, SHIFT):
        product *= low + k
    large = np.where(np.isinf(x), x, stirling(np.maximum(x, SHIFT)))
    return np.where(x < SHIFT, stirling(low + SHIFT) - np.log(product), large)


@lgamma.numpy
def _(x):
    z = np.atleast_1d(np.asarray(x, np.float64))
    step = np.floor(z)
    mirrored = np.log(PI / abs(np.sin(PI * (z - step)))) - lgamma_positive_arrays(
        np.where(z < 0, 1 - z, 1)
    )
    mirrored = np.where(z == step, np.inf, mirrored)
    y = np.where(z <= 0, mirrored, lgamma_positive_arrays(np.where(z <= 0, 1, z)))
    return y.astype(x.dtype).reshape(x.shape)


@lgamma.grad
def _(x, dy):
    return dy * digamma_scalar(x)


def digamma_positive(x):
    """ψ(x) for x > 0."""
    below = 0 * x
    if x < SHIFT:
        for k in range(SHIFT):
            below = below + 1 / (x + k)
        x = x + SHIFT
    return np.log(x) - 0.5 / x + polynomial(PSI_SERIES, 1 / (x * x)) / (x * x) - below


def digamma_scalar(x):
    """ψ(x) of one number; −∞ at 0, NaN at the other poles."""
    if x > 0 or x != x:
        return digamma_positive(x) if x < np.inf else x
    if x == 0:
        return -1 / x
    if x == np.floor(x):
        return np.nan
    return digamma_positive(1 - x) - PI / np.tan(PI * (x - np.floor(x)))


def digamma_arrays(x):
    """ψ of an array, computed in float64."""
    z = np.asarray(x, np.float64)
    step = np.floor(z)
    base = np.where(z > 0, z, 1 - z)
    up = base < SHIFT
    below = np.where(up, sum(1 / (base + k) for k in range(SHIFT)), 0.0)
    big = np.where(up, base + SHIFT, base)
    w = 1 / (big * big)
    y = np.log(big) - 0.5 / big + polynomial(PSI_SERIES, w) * w - below
    y = np.where(z < 0, np.where(z == step, np.nan, y - PI / np.tan(PI * (z - step))), y)
    return np.where(z == 0, -1 / z, y).astype(x.dtype)


lgamma.derivatives["x"].numpy(lambda x, dy: dy * digamma_arrays(x))


@elementwise
def digamma(x):
    """ψ(x) = Γ′(x)/Γ(x)."""
    return digamma_scalar(x)


digamma.numpy(digamma_arrays)


def zeta_scalar(s, q):
    """Σₖ (q + k)^−s for s > 1 and q > 0, also of arrays."""
    total = q ** (-s)
    for k in range(1, TERMS):
        total = total + (q + k) ** (-s)
    z = q + TERMS
    power = z ** (-s)
    total = total + power * z / (s - 1) + power / 2
    factor = s
    for j in range(8):
        power = power / z
        total = total + BERNOULLI[j] * factor * power / FACTORIALS[j]
        power = power / z
        factor = factor * (s + 2 * j + 1) * (s + 2 * j + 2)
    return total


FACTORIALS = tuple(float(math.factorial(2 * j + 2)) for j in range(8))


@elementwise
def zeta(s, q):
    """Hurwitz zeta function Σₖ (q + k)^−s for s > 1: ∞ at s = 1 and where q is 0, −1, −2, …"""
    if s == 1:
        return np.inf
    if not s > 1:
        return np.nan
    if q <= 0:
        if q == np.floor(q):
            return np.inf
        if s != np.floor(s):
            return np.nan
        total = 0 * q
        while q <= 0:  # the terms with a negative base, one by one
            total = total + q ** (-s)
            q = q + 1
        return total + zeta_scalar(s, q)
    return zeta_scalar(s, q)


@zeta.numpy
def _(s, q):
    s, q = np.broadcast_arrays(s, q)
    y = np.empty(s.shape, np.result_type(s, q))
    for at in np.ndindex(y.shape):  # rare, and every element takes its own number of terms
        y[at] = zeta.scalar(np.float64(s[at]), np.float64(q[at]))
    return y


@elementwise
def polygamma(x, n=0):
    """The n-th derivative of ψ."""
    return polygamma_scalar(x, n)


def polygamma_scalar(x, n):
    """ψ⁽ⁿ⁾(x) of one number."""
    if n == 0:
        return digamma_scalar(x)
    sign = 1.0 if n % 2 else -1.0
    for k in range(2, n + 1):
        sign = sign * k
    if x > 0:
        return sign * zeta_scalar(n + 1.0, x)
    if x == np.floor(x):
        return np.inf if n % 2 else np.nan
    total = 0 * x
    while x <= 0:
        total = total + x ** (-(n + 1))
        x = x + 1
    return sign * (total + zeta_scalar(n + 1.0, x))


def polygamma_arrays(x, n):
    """ψ⁽ⁿ⁾ of an array."""
    if n == 0:
        return digamma_arrays(x)
    z = np.asarray(x, np.float64)
    if (z > 0).all():
        sign = math.factorial(n) * (1.0 if n % 2 else -1.0)
        return (sign * zeta_scalar(n + 1.0, z)).astype(x.dtype)
    y = np.array([polygamma_scalar(v, n) for v in z.reshape(-1)], x.dtype)
    return y.reshape(x.shape)


polygamma.numpy(polygamma_arrays)


@polygamma.grad
def _(x, dy, n):
    return dy * polygamma_scalar(x, n + 1)


@digamma.grad
def _(x, dy):
    return dy * polygamma_scalar(x, 1)


polygamma.derivatives["x"].numpy(lambda x, dy, n: dy * polygamma_arrays(x, n + 1))
digamma.derivatives["x"].numpy(lambda x, dy: dy * polygamma_arrays(x, 1))
