"""Exponentials, logarithms and roots, element by element, with NumPy's own forms.

y = eˣ, 2ˣ, eˣ − 1,  ln x, log₂ x, log₁₀ x, ln(1 + x),  √x, 1/√x
"""

from __future__ import annotations

import math

import numpy as np

from descent.op import elementwise

__all__ = ["exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "rsqrt", "sqrt"]

LN2, LN10 = math.log(2.0), math.log(10.0)


@elementwise
def exp(x):
    """Exponential eˣ."""
    return np.exp(x)


@exp.grad
def _(y, dy):
    return dy * y


@elementwise
def exp2(x):
    """2ˣ."""
    return np.exp2(x)


@exp2.grad
def _(y, dy):
    return dy * (y * LN2)


@elementwise
def expm1(x):
    """eˣ − 1, exact near 0."""
    return np.expm1(x)


@expm1.grad
def _(y, dy):
    return dy * (y + 1)


@elementwise
def log(x):
    """Natural logarithm."""
    return np.log(x)


@log.grad
def _(x, dy):
    return dy / x


@elementwise
def log2(x):
    """Logarithm to base 2."""
    return np.log2(x)


@log2.grad
def _(x, dy):
    return dy / (x * LN2)


@elementwise
def log10(x):
    """Logarithm to base 10."""
    return np.log10(x)


@log10.grad
def _(x, dy):
    return dy / (x * LN10)


@elementwise
def log1p(x):
    """ln(1 + x), exact near 0."""
    return np.log1p(x)


@log1p.grad
def _(x, dy):
    return dy / (x + 1)


@elementwise
def sqrt(x):
    """Square root."""
    return np.sqrt(x)


@sqrt.grad
def _(y, dy):
    return dy / (2 * y)


@elementwise
def rsqrt(x):
    """1 / √x."""
    return 1 / np.sqrt(x)


@rsqrt.grad
def _(y, dy):
    return -0.5 * dy * y * y * y
