"""Rounding, signs, remainders and whole-number division of tensors, under PyTorch's names."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply, no_grad
from descent.op import Elementwise
from descent.ops import movement, rounding
from descent.tensor.calling import binary, in_place, need_kind, need_tensor, reflected, unary
from descent.tensor.common import operands
from descent.tensor.pointwise import div, whole_divisor

__all__ = [
    "ceil", "copysign", "fix", "floor", "floor_divide", "fmod", "frac", "gcd", "lcm", "nextafter",
    "remainder", "round", "sgn", "sign", "trunc",
]  # fmt: skip


def _rounding(op: Elementwise) -> Any:
    """The function of a rounding op; whole numbers stay as they are."""

    def function(input: Any) -> Any:
        need_kind(need_tensor(input, op.name), op.name, "iuf")
        whole = input.array.dtype.kind != "f"
        return apply(movement.copy if whole else op, input)

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = op.doc
    return function


floor, ceil, trunc = map(_rounding, (rounding.floor, rounding.ceil, rounding.trunc))
sign = unary(rounding.sign)
frac = unary(rounding.frac, kinds="f")
copysign = binary(rounding.copysign, floating=True)
nextafter = binary(rounding.nextafter, kinds="f")
gcd, lcm = binary(rounding.gcd, kinds="iu"), binary(rounding.lcm, kinds="iu")
fix, sgn = trunc, sign


def round(input: Any, *, decimals: int = 0) -> Any:
    """The nearest number with that many decimals, half to even."""
    need_kind(need_tensor(input, "round"), "round", "iuf")
    if input.array.dtype.kind != "f":
        if decimals < 0:
            raise RuntimeError("round with negative decimals is for floating-point tensors")
        return apply(movement.copy, input)
    return apply(rounding.round_, input, decimals=decimals)


def remainder(input: Any, other: Any) -> Any:
    """input − other · ⌊input / other⌋: the sign of the divisor, as Python's %."""
    return apply(rounding.remainder, *whole_divisor(*operands(input, other)))


def fmod(input: Any, other: Any) -> Any:
    """Remainder with the sign of the dividend, as C's fmod."""
    return apply(rounding.fmod, *whole_divisor(*operands(input, other)))


def floor_divide(input: Any, other: Any) -> Any:
    """⌊input / other⌋; without a gradient."""
    with no_grad():
        return div(input, other, rounding_mode="floor")


class RoundingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    floor, ceil, trunc, fix, round, frac = floor, ceil, trunc, trunc, round, frac
    floor_, ceil_, trunc_, frac_ = map(in_place, (floor, ceil, trunc, frac))
    fix_ = trunc_
    round_, sign_, copysign_ = in_place(round), in_place(sign), in_place(copysign)
    sgn_, nextafter_, gcd_, lcm_ = map(in_place, (sgn, nextafter, gcd, lcm))
    sign, sgn, copysign, nextafter, gcd, lcm = sign, sign, copysign, nextafter, gcd, lcm
    remainder, fmod, floor_divide = remainder, fmod, floor_divide
    remainder_, fmod_, floor_divide_ = map(in_place, (remainder, fmod, floor_divide))
    __mod__, __floordiv__ = remainder, floor_divide
    __rmod__, __rfloordiv__ = reflected(remainder), reflected(floor_divide)
    __imod__, __ifloordiv__ = remainder_, floor_divide_
