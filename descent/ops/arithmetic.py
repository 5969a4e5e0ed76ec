"""Arithmetic, element by element: the ops everything else is made of.

y = a + b,  a − b,  a · b,  a / b,  a^b,  −x
"""

from __future__ import annotations

import numpy as np

from descent.op import elementwise

__all__ = ["add", "div", "mul", "neg", "pow_", "sub"]


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
def pow_(a, b):
    """Power a^b."""
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
