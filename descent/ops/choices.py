"""Choosing, element by element.

The larger, the smaller and the clamped value pass the gradient to the operand that was taken;
maximum and minimum share a tie half-half, a value at a clamp's bound keeps its gradient (PyTorch's
conventions). NaN is neither larger nor smaller: it comes out of every choice but fmax and fmin.
"""

from __future__ import annotations

import numpy as np

from descent.op import elementwise
from descent.ops.blocks import masked

__all__ = [
    "clamp", "clamp_max", "clamp_min", "fmax", "fmin", "heaviside", "maximum", "minimum",
    "nan_to_num", "where",
]  # fmt: skip


@elementwise
def where(condition, a, b):
    """a where the condition holds, else b."""
    return a if condition else b


where.numpy(np.where)


@where.grad("a")
def _(condition, dy):
    return dy if condition else 0 * dy


@where.derivatives["a"].numpy
def _(condition, dy):
    return masked(dy, condition)


@where.grad("b")
def _(condition, dy):
    return 0 * dy if condition else dy


@where.derivatives["b"].numpy
def _(condition, dy):
    return masked(dy, ~condition)


@elementwise
def maximum(a, b):
    """The larger of two; a tie is half of each."""
    return a if a > b else b if b > a else a / 2 + b / 2


@elementwise
def minimum(a, b):
    """The smaller of two; a tie is half of each."""
    return a if a < b else b if b < a else a / 2 + b / 2


@elementwise
def fmax(a, b):
    """The larger of two; a number beats NaN, a tie goes to the first."""
    return a if a >= b or b != b else b


@elementwise
def fmin(a, b):
    """The smaller of two; a number beats NaN, a tie goes to the first."""
    return a if a <= b or b != b else b


maximum.numpy(np.maximum)
minimum.numpy(np.minimum)
fmax.numpy(np.fmax)
fmin.numpy(np.fmin)


@maximum.grad("a")
def _(a, b, dy):
    return dy / 2 if a == b else 0 * dy if a < b else dy


@maximum.derivatives["a"].numpy
def _(a, b, dy):
    g = masked(dy, ~(a < b))
    return np.where(a == b, g / 2, g)


@maximum.grad("b")
def _(a, b, dy):
    return dy / 2 if a == b else 0 * dy if b < a else dy


@maximum.derivatives["b"].numpy
def _(a, b, dy):
    g = masked(dy, ~(b < a))
    return np.where(a == b, g / 2, g)


@minimum.grad("a")
def _(a, b, dy):
    return dy / 2 if a == b else 0 * dy if a > b else dy


@minimum.derivatives["a"].numpy
def _(a, b, dy):
    g = masked(dy, ~(a > b))
    return np.where(a == b, g / 2, g)


@minimum.grad("b")
def _(a, b, dy):
    return dy / 2 if a == b else 0 * dy if b > a else dy


@minimum.derivatives["b"].numpy
def _(a, b, dy):
    g = masked(dy, ~(b > a))
    return np.where(a == b, g / 2, g)


@fmax.grad("a")
def _(a, b, dy):
    return dy if a >= b or b != b else 0 * dy


@fmax.derivatives["a"].numpy
def _(a, b, dy):
    return masked(dy, (a >= b) | (b != b))


@fmax.grad("b")
def _(a, b, dy):
    return 0 * dy if a >= b or b != b else dy


@fmax.derivatives["b"].numpy
def _(a, b, dy):
    return masked(dy, ~((a >= b) | (b != b)))


@fmin.grad("a")
def _(a, b, dy):
    return dy if a <= b or b != b else 0 * dy


@fmin.derivatives["a"].numpy
def _(a, b, dy):
    return masked(dy, (a <= b) | (b != b))


@fmin.grad("b")
def _(a, b, dy):
    return 0 * dy if a <= b or b != b else dy


@fmin.derivatives["b"].numpy
def _(a, b, dy):
    return masked(dy, ~((a <= b) | (b != b)))


@elementwise
def clamp_min(x, low):
    """x, but at least `low`."""
    return low if x < low or low != low else x


clamp_min.numpy(np.maximum)


@clamp_min.grad("x")
def _(x, low, dy):
    return dy if x >= low else 0 * dy


@clamp_min.derivatives["x"].numpy
def _(x, low, dy):
    return masked(dy, x >= low)


@clamp_min.grad("low")
def _(x, low, dy):
    return dy if x < low else 0 * dy


@clamp_min.derivatives["low"].numpy
def _(x, low, dy):
    return masked(dy, x < low)


@elementwise
def clamp_max(x, high):
    """x, but at most `high`."""
    return high if x > high or high != high else x


clamp_max.numpy(np.minimum)


@clamp_max.grad("x")
def _(x, high, dy):
    return dy if x <= high else 0 * dy


@clamp_max.derivatives["x"].numpy
def _(x, high, dy):
    return masked(dy, x <= high)


@clamp_max.grad("high")
def _(x, high, dy):
    return dy if x > high else 0 * dy


@clamp_max.derivatives["high"].numpy
def _(x, high, dy):
    return masked(dy, x > high)


@elementwise
def clamp(x, low, high):
    """x brought into [low, high]; `high` where low > high."""
    y = low if x < low or low != low else x
    return high if y > high or high != high else y


@clamp.numpy
def _(x, low, high):
    return np.minimum(np.maximum(x, low), high)


@clamp.grad("x")
def _(x, low, high, dy):
    return dy if x >= low and x <= high else 0 * dy


@clamp.derivatives["x"].numpy
def _(x, low, high, dy):
    return masked(dy, (x >= low) & (x <= high))


@clamp.grad("low")
def _(x, low, high, dy):
    return dy if low < high and x < low else 0 * dy


@clamp.derivatives["low"].numpy
def _(x, low, high, dy):
    return masked(dy, (low < high) & (x < low))


@clamp.grad("high")
def _(x, low, high, dy):
    return dy if high < low or x > high else 0 * dy


@clamp.derivatives["high"].numpy
def _(x, low, high, dy):
    return masked(dy, (high < low) | (x > high))


@elementwise
def heaviside(x, at_zero):
    """0 below zero, 1 above, `at_zero` there."""
    return at_zero if x == 0 else 1 if x > 0 else 0


@heaviside.numpy
def _(x, at_zero):
    return np.where(x == 0, at_zero, x > 0)


@elementwise
def nan_to_num(x, nan=0.0, posinf=np.inf, neginf=-np.inf):
    """Replace NaN, +∞ and −∞ by numbers; derivative 0 where replaced."""
    return nan if x != x else posinf if x == np.inf else neginf if x == -np.inf else x


@nan_to_num.numpy
def _(x, nan, posinf, neginf):
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


@nan_to_num.grad
def _(x, dy):
    return dy if abs(x) < np.inf else 0 * dy


@nan_to_num.derivatives["x"].numpy
def _(x, dy):
    return masked(dy, np.isfinite(x))
