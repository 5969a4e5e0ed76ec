"""Comparing, element by element; the results are booleans and have no derivative."""

from __future__ import annotations

import numpy as np

from descent.op import elementwise

__all__ = [
    "eq", "ge", "gt", "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "le", "lt",
    "ne", "signbit",
]  # fmt: skip


@elementwise(out=bool)
def eq(a, b):
    """a = b."""
    return a == b


@elementwise(out=bool)
def ne(a, b):
    """a ≠ b."""
    return a != b


@elementwise(out=bool)
def lt(a, b):
    """a < b."""
    return a < b


@elementwise(out=bool)
def le(a, b):
    """a ≤ b."""
    return a <= b


@elementwise(out=bool)
def gt(a, b):
    """a > b."""
    return a > b


@elementwise(out=bool)
def ge(a, b):
    """a ≥ b."""
    return a >= b


@elementwise(out=bool)
def isnan(x):
    """Is it not a number?"""
    return x != x


@elementwise(out=bool)
def isinf(x):
    """Is it +∞ or −∞?"""
    return abs(x) == np.inf


@elementwise(out=bool)
def isfinite(x):
    """Is it neither NaN nor infinite?"""
    return abs(x) < np.inf


@elementwise(out=bool)
def isposinf(x):
    """Is it +∞?"""
    return x == np.inf


@elementwise(out=bool)
def isneginf(x):
    """Is it −∞?"""
    return x == -np.inf


@elementwise(out=bool)
def signbit(x):
    """Is the sign negative (−0.0 included)?"""
    return x < 0 or (x == 0 and 1 / x < 0)


signbit.numpy(np.signbit)


@elementwise(out=bool)
def isclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    """|a − b| ≤ atol + rtol · |b|, or equal infinities, or (if asked) both NaN."""
    if a == b or (equal_nan and a != a and b != b):
        return True
    return abs(a) < np.inf and abs(b) < np.inf and abs(a - b) <= atol + abs(rtol * b)


@isclose.numpy
def _(a, b, rtol, atol, equal_nan):
    near = np.isfinite(a) & np.isfinite(b) & (abs(a - b) <= atol + abs(rtol * b))
    near |= a == b
    return near | ((a != a) & (b != b)) if equal_nan else near
