"""Logic on truth values and on bits, element by element."""

from __future__ import annotations

import numpy as np

from descent.op import elementwise

__all__ = [
    "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "logical_and", "logical_not", "logical_or", "logical_xor",
]  # fmt: skip


@elementwise(out=bool)
def logical_not(x):
    """Is it zero?"""
    return x == 0


@elementwise(out=bool)
def logical_and(a, b):
    """Are both non-zero?"""
    return (a != 0) & (b != 0)


@elementwise(out=bool)
def logical_or(a, b):
    """Is either non-zero?"""
    return (a != 0) | (b != 0)


@elementwise(out=bool)
def logical_xor(a, b):
    """Is exactly one non-zero?"""
    return (a != 0) ^ (b != 0)


@elementwise
def bitwise_not(x):
    """Every bit flipped; the opposite of a boolean."""
    return ~x


bitwise_not.numpy(np.invert)


@elementwise
def bitwise_and(a, b):
    """Bits set in both."""
    return a & b


@elementwise
def bitwise_or(a, b):
    """Bits set in either."""
    return a | b


@elementwise
def bitwise_xor(a, b):
    """Bits set in exactly one."""
    return a ^ b


@elementwise
def bitwise_left_shift(a, b):
    """a · 2^b, by moving bits."""
    return a << b


@elementwise
def bitwise_right_shift(a, b):
    """⌊a / 2^b⌋, by moving bits (the sign stays)."""
    return a >> b
