"""Rounding, signs and remainders, element by element.

⌊x⌋, ⌈x⌉, trunc x, round x (half to even), x − trunc x, sign x;  a mod b = a − b ⌊a/b⌋ (sign of b),
fmod(a, b) = a − b trunc(a/b) (sign of a). A step is flat, so its derivative is 0, also at the jump.
"""

from __future__ import annotations

import numpy as np

from descent.op import elementwise

__all__ = [
    "ceil", "copysign", "div_floor", "div_trunc", "floor", "fmod", "frac", "gcd", "lcm",
    "nextafter", "remainder", "round_", "sign", "trunc",
]  # fmt: skip


@elementwise
def floor(x):
    """The largest whole number that is not above x."""
    return np.floor(x)


@elementwise
def ceil(x):
    """The smallest whole number that is not below x."""
    return np.ceil(x)


@elementwise
def trunc(x):
    """x without its fraction."""
    return np.trunc(x)


@elementwise
def round_(x, decimals=0):
    """The nearest number with that many decimals (negative: tens, hundreds, …), half to even."""
    if decimals == 0:
        return np.rint(x)
    scale = 10.0 ** abs(decimals)
    return np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale


@elementwise
def sign(x):
    """−1, 0 or 1."""
    return 1 if x > 0 else -1 if x < 0 else 0


@sign.numpy
def _(x):
    return np.subtract(x > 0, x < 0, dtype=x.dtype) if x.dtype.kind != "b" else x


def flat(dy):
    """The derivative of a step."""
    return 0 * dy


for step in (floor, ceil, trunc, round_, sign):
    step.grad(flat).numpy(np.zeros_like)


@elementwise
def frac(x):
    """x − trunc x, with the sign of x."""
    return x - np.trunc(x)


@frac.grad
def _(dy):
    return dy


@elementwise
def copysign(a, b):
    """|a| with the sign of b (−0.0 is negative)."""
    return abs(a) if b > 0 or (b == 0 and 1 / b > 0) else -abs(a)


copysign.numpy(np.copysign)


@copysign.grad("a")
def _(a, y, dy):
    return dy * (y / a) if a != 0 else 0 * dy


@copysign.derivatives["a"].numpy
def _(a, y, dy):
    return np.where(a == 0, 0, dy * (y / a))


@copysign.grad("b")
def _(dy):
    return 0 * dy


@elementwise
def remainder(a, b):
    """a mod b, with the sign of b."""
    return a % b


remainder.numpy(np.remainder)


@remainder.grad("a")
def _(dy):
    return dy


@remainder.grad("b")
def _(a, b, dy):
    return -dy * np.floor_divide(a, b)


@elementwise
def fmod(a, b):
    """Remainder of the division of a by b, with the sign of a."""
    return np.fmod(a, b)


@fmod.grad("a")
def _(dy):
    return dy


@fmod.grad("b")
def _(a, b, dy):
    return -dy * np.trunc(a / b)


@elementwise
def div_floor(a, b):
    """⌊a / b⌋."""
    return np.floor_divide(a, b)


@elementwise
def div_trunc(a, b):
    """a / b without its fraction."""
    return np.trunc(a / b)


@div_trunc.numpy
def _(a, b):
    if a.dtype.kind == "f":
        return np.trunc(a / b)
    return np.floor_divide(a, b) + ((np.remainder(a, b) != 0) & ((a < 0) != (b < 0)))


for quotient in (div_floor, div_trunc):
    for operand in ("a", "b"):
        quotient.grad(operand)(flat).numpy(np.zeros_like)


@elementwise(opaque=True)
def nextafter(a, b):
    """The floating-point number next to a in the direction of b."""
    return np.nextafter(a, b)


@nextafter.grad("a")
def _(a, b, dy):
    return 0 * dy if a == b else dy


@nextafter.derivatives["a"].numpy
def _(a, b, dy):
    return np.where(a == b, 0, dy)


@nextafter.grad("b")
def _(dy):
    return 0 * dy


@elementwise
def gcd(a, b):
    """Greatest common divisor, by Euclid's algorithm."""
    a, b = abs(a), abs(b)
    while b:
        a, b = b, a % b
    return a


@elementwise
def lcm(a, b):
    """Least common multiple."""
    p, q = abs(a), abs(b)
    while q:
        p, q = q, p % q
    return abs(a // p * b) if p else 0 * a


gcd.numpy(np.gcd)
lcm.numpy(np.lcm)
