"""Circular and hyperbolic functions and their inverses, element by element (radians)."""

from __future__ import annotations

import numpy as np

from descent.op import elementwise
from descent.ops.lanewise import in_lanes
from descent.ops.vectormath import cos32, sin32, tanh32

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "hypot", "sin",
    "sinc", "sinh", "tan", "tanh",
]  # fmt: skip

PI = float(np.pi)


@elementwise
def sin(x):
    """Sine."""
    return np.sin(x)


sin.numpy(in_lanes(sin32)(np.sin))


@sin.grad
def _(x, dy):
    return dy * np.cos(x)


@elementwise
def cos(x):
    """Cosine."""
    return np.cos(x)


cos.numpy(in_lanes(cos32)(np.cos))


@cos.grad
def _(x, dy):
    return -dy * np.sin(x)


@elementwise
def tan(x):
    """Tangent."""
    return np.tan(x)


@tan.grad
def _(y, dy):
    return dy * (1 + y * y)


@elementwise
def asin(x):
    """The angle in [−π/2, π/2] whose sine is x."""
    return np.arcsin(x)


@asin.grad
def _(x, dy):
    return dy / np.sqrt(1 - x * x)


@elementwise
def acos(x):
    """The angle in [0, π] whose cosine is x."""
    return np.arccos(x)


@acos.grad
def _(x, dy):
    return -dy / np.sqrt(1 - x * x)


@elementwise
def atan(x):
    """The angle in (−π/2, π/2) whose tangent is x."""
    return np.arctan(x)


@atan.grad
def _(x, dy):
    return dy / (1 + x * x)


@elementwise
def sinh(x):
    """Hyperbolic sine (eˣ − e⁻ˣ)/2."""
    return np.sinh(x)


@sinh.grad
def _(x, dy):
    return dy * np.cosh(x)


@elementwise
def cosh(x):
    """Hyperbolic cosine (eˣ + e⁻ˣ)/2."""
    return np.cosh(x)


@cosh.grad
def _(x, dy):
    return dy * np.sinh(x)


@elementwise
def tanh(x):
    """Hyperbolic tangent (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)."""
    return np.tanh(x)


tanh.numpy(in_lanes(tanh32)(np.tanh))


@tanh.grad
def _(y, dy):
    return dy * (1 - y * y)


@tanh.derivatives["x"].numpy
def _(y, dy):
    g = np.empty_like(y)
    np.multiply(y, y, out=g)
    np.subtract(1, g, out=g)
    g *= dy
    return g


@elementwise
def asinh(x):
    """Inverse of sinh: ln(x + √(x² + 1))."""
    return np.arcsinh(x)


@asinh.grad
def _(x, dy):
    return dy / np.sqrt(x * x + 1)


@elementwise
def acosh(x):
    """Inverse of cosh: ln(x + √(x² − 1)), x ≥ 1."""
    return np.arccosh(x)


@acosh.grad
def _(x, dy):
    return dy / (np.sqrt(x - 1) * np.sqrt(x + 1))


@elementwise
def atanh(x):
    """Inverse of tanh: ½ ln((1 + x)/(1 − x)), |x| ≤ 1."""
    return np.arctanh(x)


@atanh.grad
def _(x, dy):
    return dy / (1 - x * x)


@elementwise
def sinc(x):
    """sin(πx) / (πx), 1 at 0 (with derivative 0 there)."""
    return np.sin(PI * x) / (PI * x) if x != 0 else 1.0


@sinc.numpy
def _(x):
    p = PI * x
    return np.where(x == 0, 1, np.sin(p) / p)


@sinc.grad
def _(x, dy):
    p = PI * x
    return dy * ((p * np.cos(p) - np.sin(p)) / (p * x)) if x != 0 else 0 * dy


@sinc.derivatives["x"].numpy
def _(x, dy):
    p = PI * x
    return np.where(x == 0, 0, dy * ((p * np.cos(p) - np.sin(p)) / (p * x)))


@elementwise
def atan2(a, b):
    """The angle of the point (b, a), in (−π, π]."""
    return np.arctan2(a, b)


@atan2.grad("a")
def _(a, b, dy):
    return dy * (b / (a * a + b * b)) if a * a + b * b != 0 else 0 * dy


@atan2.derivatives["a"].numpy
def _(a, b, dy):
    r = a * a + b * b
    return np.where(r == 0, 0, dy * (b / r))


@atan2.grad("b")
def _(a, b, dy):
    return dy * (-a / (a * a + b * b)) if a * a + b * b != 0 else 0 * dy


@atan2.derivatives["b"].numpy
def _(a, b, dy):
    r = a * a + b * b
    return np.where(r == 0, 0, dy * (-a / r))


@elementwise
def hypot(a, b):
    """Length of the hypotenuse √(a² + b²), without overflow on the way."""
    return np.hypot(a, b)


@hypot.grad("a")
def _(a, y, dy):
    return dy * (a / y)


@hypot.grad("b")
def _(b, y, dy):
    return dy * (b / y)
