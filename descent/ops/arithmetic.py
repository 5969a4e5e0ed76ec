"""Arithmetic, element by element: the ops everything else is made of.

y = a + b,  a − b,  a · b,  a / b,  a^b,  −x,  |x|,  x²,  1/x
"""

from __future__ import annotations

import numpy as np

from descent.op import elementwise

__all__ = [
    "absolute", "add", "addcdiv", "angle", "div", "lerp", "mul", "neg", "pow_", "power",
    "reciprocal", "square", "sub",
]  # fmt: skip


@elementwise
def add(a, b):
    """Sum."""
    return a + b


@add.grad("a")
def _(dy):
    return dy


@add.grad("b")
def _(dy):
    return dy


@elementwise
def sub(a, b):
    """Difference."""
    return a - b


@sub.grad("a")
def _(dy):
    return dy


@sub.grad("b")
def _(dy):
    return -dy


@elementwise
def mul(a, b):
    """Product."""
    return a * b


@mul.grad("a")
def _(b, dy):
    return dy * b


@mul.grad("b")
def _(a, dy):
    return dy * a


@elementwise
def div(a, b):
    """Quotient."""
    return a / b


@div.grad("a")
def _(b, dy):
    return dy / b


@div.grad("b")
def _(a, b, dy):
    return -dy * a / (b * b)


@elementwise
def neg(x):
    """Negation."""
    return -x


@neg.grad
def _(dy):
    return -dy


@elementwise
def absolute(x):
    """Absolute value; derivative 0 at 0."""
    return abs(x)


@absolute.grad
def _(x, dy):
    return dy if x > 0 else -dy if x < 0 else 0 * x * dy


@absolute.derivatives["x"].numpy
def _(x, dy):
    return dy * np.sign(x)


@elementwise
def square(x):
    """x²."""
    return x * x


@square.grad
def _(x, dy):
    return dy * (x + x)


@elementwise
def reciprocal(x):
    """1 / x."""
    return 1 / x


@reciprocal.grad
def _(y, dy):
    return -dy * y * y


@elementwise
def power(x, exponent=2.0):
    """x to the power of a constant."""
    return x**exponent


@power.numpy
def _(x, exponent):
    return x * x * x if exponent == 3 else x**exponent


power.name = "pow"


@power.grad
def _(x, dy, exponent):
    return dy * (exponent * x ** (exponent - 1)) if exponent != 0 else 0 * dy


@elementwise
def pow_(a, b):
    """a to the power of b."""
    return a**b


@pow_.numpy
def _(a, b):
    if b.dtype.kind == "i" and (b < 0).any():  # 1/aⁿ, rounded towards 0
        inverse = np.where(abs(a) == 1, np.where(b % 2 == 0, 1, a), 0)
        return np.where(b < 0, inverse, a ** np.maximum(b, 0))
    return a**b


@pow_.grad("a")
def _(a, b, dy):
    return dy * b * a ** (b - 1) if b != 0 else 0 * dy


@pow_.derivatives["a"].numpy
def _(a, b, dy):
    return np.where(b == 0, 0, dy * b * a ** (b - 1))


@pow_.grad("b")
def _(a, b, y, dy):
    return dy * y * np.log(a) if a != 0 or b < 0 else 0 * dy


@pow_.derivatives["b"].numpy
def _(a, b, y, dy):
    return np.where((a == 0) & (b >= 0), 0, dy * y * np.log(a))


@elementwise
def lerp(a, b, weight):
    """a + weight · (b − a), computed from the nearer end. Linear interpolation."""
    return a + weight * (b - a) if abs(weight) < 0.5 else b - (b - a) * (1 - weight)


@lerp.numpy
def _(a, b, weight):
    d = b - a
    return np.where(abs(weight) < 0.5, a + weight * d, b - d * (1 - weight))


@lerp.grad("a")
def _(weight, dy):
    return dy * (1 - weight)


@lerp.grad("b")
def _(weight, dy):
    return dy * weight


@lerp.grad("weight")
def _(a, b, dy):
    return dy * (b - a)


@elementwise
def addcdiv(x, a, b, value=1.0):
    """x + value · a / b."""
    return x + value * (a / b)


@addcdiv.grad("x")
def _(dy):
    return dy


@addcdiv.grad("a")
def _(b, dy, value):
    return dy * (value / b)


@addcdiv.grad("b")
def _(a, b, dy, value):
    return -dy * (value * a / (b * b))


@elementwise
def angle(x):
    """The angle of a real number in the complex plane: π below zero, else 0."""
    return np.pi if x < 0 else x if x != x else 0.0


@angle.numpy
def _(x):
    return np.where(x < 0, x.dtype.type(np.pi), np.where(x != x, x, x.dtype.type(0)))


@angle.grad
def _(dy):
    return 0 * dy
