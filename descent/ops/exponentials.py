"""Exponentials, logarithms and roots, element by element, with NumPy's own forms.

Large float32 arrays go through loops over `vectormath`.

y = eˣ, 2ˣ, eˣ − 1,  ln x, log₂ x, log₁₀ x, ln(1 + x),  √x, 1/√x,  ln(eᵃ + eᵇ),  a ln b
"""

from __future__ import annotations

import math

import numpy as np

from descent.op import elementwise
from descent.ops.lanewise import in_lanes
from descent.ops.vectormath import ONE, exp2_32, exp32, expm1_32, log1p32, log2_32, log10_32, log32

__all__ = [
    "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logit",
    "rsqrt", "sqrt", "xlog1py", "xlogy",
]  # fmt: skip

LN2, LN10 = math.log(2.0), math.log(10.0)


@elementwise
def exp(x):
    """Exponential eˣ."""
    return np.exp(x)


exp.numpy(in_lanes(exp32)(np.exp))


@exp.grad
def _(y, dy):
    return dy * y


@elementwise
def exp2(x):
    """2ˣ."""
    return np.exp2(x)


exp2.numpy(in_lanes(exp2_32)(np.exp2))


@exp2.grad
def _(y, dy):
    return dy * (y * LN2)


@elementwise
def expm1(x):
    """eˣ − 1, exact near 0."""
    return np.expm1(x)


expm1.numpy(in_lanes(expm1_32)(np.expm1))


@expm1.grad
def _(y, dy):
    return dy * (y + 1)


@elementwise
def log(x):
    """Natural logarithm."""
    return np.log(x)


log.numpy(in_lanes(log32)(np.log))


@log.grad
def _(x, dy):
    return dy / x


@elementwise
def log2(x):
    """Logarithm to base 2."""
    return np.log2(x)


log2.numpy(in_lanes(log2_32)(np.log2))


@log2.grad
def _(x, dy):
    return dy / (x * LN2)


@elementwise
def log10(x):
    """Logarithm to base 10."""
    return np.log10(x)


log10.numpy(in_lanes(log10_32)(np.log10))


@log10.grad
def _(x, dy):
    return dy / (x * LN10)


@elementwise
def log1p(x):
    """ln(1 + x), exact near 0."""
    return np.log1p(x)


log1p.numpy(in_lanes(log1p32)(np.log1p))


@log1p.grad
def _(x, dy):
    return dy / (x + 1)


@elementwise
def sqrt(x):
    """Square root."""
    return np.sqrt(x)


def sqrt32(x):
    """Square root of a float32."""
    return np.sqrt(x)


sqrt.numpy(in_lanes(sqrt32)(np.sqrt))


@sqrt.grad
def _(y, dy):
    return dy / (2 * y)


@elementwise
def rsqrt(x):
    """1 / √x."""
    return 1 / np.sqrt(x)


def rsqrt32(x):
    """1 / √x of a float32."""
    return ONE / np.sqrt(x)


rsqrt.numpy(in_lanes(rsqrt32)(lambda x: 1 / np.sqrt(x)))


@rsqrt.grad
def _(y, dy):
    return -0.5 * dy * y * y * y


@elementwise
def logit(x):
    """ln(x / (1 − x)), the inverse of sigmoid."""
    return np.log(x / (1 - x))


@logit.grad
def _(x, dy):
    return dy / (x * (1 - x))


@elementwise
def logaddexp(a, b):
    """ln(eᵃ + eᵇ) without overflow."""
    if a == b and abs(a) == np.inf:
        return a
    return max(a, b) + np.log1p(np.exp(-abs(a - b)))


@logaddexp.grad("a")
def _(a, b, dy):
    return dy / (1 + np.exp(b - a))


@logaddexp.grad("b")
def _(a, b, dy):
    return dy / (1 + np.exp(a - b))


@elementwise
def logaddexp2(a, b):
    """log₂(2ᵃ + 2ᵇ) without overflow."""
    if a == b and abs(a) == np.inf:
        return a
    return max(a, b) + np.log1p(np.exp2(-abs(a - b))) / LN2


@logaddexp2.grad("a")
def _(a, b, dy):
    return dy / (1 + np.exp2(b - a))


@logaddexp2.grad("b")
def _(a, b, dy):
    return dy / (1 + np.exp2(a - b))


logaddexp.numpy(np.logaddexp)
logaddexp2.numpy(np.logaddexp2)


@elementwise
def xlogy(a, b):
    """a · ln b, 0 where a is 0."""
    return 0 if a == 0 and b == b else a * np.log(b)


@xlogy.numpy
def _(a, b):
    return np.where((a == 0) & (b == b), 0, a * np.log(b))


@xlogy.grad("a")
def _(a, b, dy):
    return 0 * dy if a == 0 and b <= 0 else dy * np.log(b)


@xlogy.derivatives["a"].numpy
def _(a, b, dy):
    return np.where((a == 0) & (b <= 0), 0, dy * np.log(b))


@xlogy.grad("b")
def _(a, b, dy):
    return dy * a / b


@elementwise
def xlog1py(a, b):
    """a · ln(1 + b), 0 where a is 0."""
    return 0 if a == 0 and b == b else a * np.log1p(b)


@xlog1py.numpy
def _(a, b):
    return np.where((a == 0) & (b == b), 0, a * np.log1p(b))


@xlog1py.grad("a")
def _(a, b, dy):
    return 0 * dy if a == 0 and b <= -1 else dy * np.log1p(b)


@xlog1py.derivatives["a"].numpy
def _(a, b, dy):
    return np.where((a == 0) & (b <= -1), 0, dy * np.log1p(b))


@xlog1py.grad("b")
def _(a, b, dy):
    return dy * a / (b + 1)
