"""Comparing tensors, choosing between them, logic and bits, under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply, no_grad, wrap
from descent.ops import choices, comparisons, logic, movement
from descent.tensor.calling import binary, in_place, need_tensor, reflected, unary
from descent.tensor.common import cast, operands

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "clamp", "clamp_max", "clamp_min", "clip", "eq",
    "equal", "fmax", "fmin", "ge", "greater", "greater_equal", "gt", "heaviside", "isclose",
    "isfinite", "isinf", "isnan", "isneginf", "isposinf", "le", "less", "less_equal",
    "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "masked_fill", "maximum",
    "minimum", "nan_to_num", "ne", "not_equal", "signbit", "where",
]  # fmt: skip

eq, ne = binary(comparisons.eq), binary(comparisons.ne)
lt, le = binary(comparisons.lt), binary(comparisons.le)
gt, ge = binary(comparisons.gt), binary(comparisons.ge)
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge

isnan, isinf = unary(comparisons.isnan), unary(comparisons.isinf)
isfinite = unary(comparisons.isfinite)
isposinf, isneginf = unary(comparisons.isposinf), unary(comparisons.isneginf)
signbit = unary(comparisons.signbit)

maximum, minimum = binary(choices.maximum), binary(choices.minimum)
fmax, fmin = binary(choices.fmax), binary(choices.fmin)


def heaviside(input: Any, values: Any) -> Any:
    """0 below zero, 1 above, `values` there; without a gradient."""
    with no_grad():
        return apply(choices.heaviside, *operands(input, values))


def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Replace NaN, +∞ and −∞ (by the largest and smallest finite number unless given)."""
    dtype = need_tensor(input, "nan_to_num").array.dtype
    if dtype.kind != "f":
        return apply(movement.copy, input)
    limits = np.finfo(dtype)
    posinf = float(limits.max) if posinf is None else posinf
    neginf = float(limits.min) if neginf is None else neginf
    return apply(choices.nan_to_num, input, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """|input − other| ≤ atol + rtol · |other|, element by element."""
    if input.array.dtype != other.array.dtype:
        raise RuntimeError(f"{input.dtype.name} did not match {other.dtype.name}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"rtol and atol must be at least 0, but found {rtol} and {atol}")
    return apply(comparisons.isclose, input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close; see `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


def equal(input: Any, other: Any) -> bool:
    """Whether both have the same shape and the same elements."""
    a, b = need_tensor(input, "equal").array, need_tensor(other, "equal", "other").array
    return a.shape == b.shape and bool((a == b).all())


logical_not = unary(logic.logical_not)
logical_and, logical_or = binary(logic.logical_and), binary(logic.logical_or)
logical_xor = binary(logic.logical_xor)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; the condition alone gives its indices."""
    need_tensor(condition, "where", "condition")
    if input is None and other is None:
        return tuple(wrap(i) for i in np.nonzero(np.atleast_1d(condition.array)))
    if condition.array.dtype.kind != "b":
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.name}; compare it, as in `where(x != 0, …)`"
        )
    return apply(choices.where, condition, *operands(input, other))


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`value` (a number or a 0-d tensor) where the mask is true, else `input`."""
    if need_tensor(mask, "masked_fill", "mask").array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill only supports boolean masks, but got mask dtype {mask.dtype.name}"
        )
    dtype = input.array.dtype
    if not isinstance(value, TensorBase):
        value = wrap(np.asarray(value, dtype))
    elif value.array.ndim:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.array.ndim} dimension(s); use where(mask, value, input)"
        )
    return apply(choices.where, mask, cast(value, dtype), input)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """`input` brought into [min, max]; either bound (a number or a tensor) may be None."""
    need_tensor(input, "clamp")
    if min is None and max is None:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    if max is None:
        return clamp_min(input, min)
    if min is None:
        return clamp_max(input, max)
    return apply(choices.clamp, *operands(input, min, max))


clip = clamp
clamp_min, clamp_max = binary(choices.clamp_min), binary(choices.clamp_max)


bitwise_not = unary(logic.bitwise_not, kinds="biu")
bitwise_and = binary(logic.bitwise_and, kinds="biu")
bitwise_or = binary(logic.bitwise_or, kinds="biu")
bitwise_xor = binary(logic.bitwise_xor, kinds="biu")
bitwise_left_shift = binary(logic.bitwise_left_shift, kinds="iu")
bitwise_right_shift = binary(logic.bitwise_right_shift, kinds="iu")


def _operator(function: Any) -> Any:
    """`==` and `!=`: with something that is no number, Python's own answer."""

    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, (TensorBase, np.ndarray, np.generic, int, float)):
            return NotImplemented
        return function(self, other)

    return method


class ComparingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    eq, ne, lt, le, gt, ge = eq, ne, lt, le, gt, ge
    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
    __eq__, __ne__, __lt__, __le__, __gt__, __ge__ = map(_operator, (eq, ne, lt, le, gt, ge))
    __hash__ = object.__hash__
    isnan, isinf, isfinite, isposinf, isneginf = isnan, isinf, isfinite, isposinf, isneginf
    signbit, heaviside, nan_to_num = signbit, heaviside, nan_to_num
    nan_to_num_, heaviside_ = in_place(nan_to_num), in_place(heaviside)
    isclose, allclose, equal = isclose, allclose, equal
    maximum, minimum, fmax, fmin = maximum, minimum, fmax, fmin
    clamp, clip, clamp_min, clamp_max = clamp, clamp, clamp_min, clamp_max
    clamp_, clip_ = in_place(clamp), in_place(clamp)
    clamp_min_, clamp_max_ = in_place(clamp_min), in_place(clamp_max)
    eq_, ne_, lt_, le_, gt_, ge_ = map(in_place, (eq, ne, lt, le, gt, ge))
    not_equal_, less_, less_equal_, greater_, greater_equal_ = ne_, lt_, le_, gt_, ge_
    masked_fill, masked_fill_ = masked_fill, in_place(masked_fill)

    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where the condition holds, else `other`."""
        return where(condition, self, other)

    logical_not, logical_and = logical_not, logical_and
    logical_or, logical_xor = logical_or, logical_xor
    bitwise_not, bitwise_and = bitwise_not, bitwise_and
    bitwise_or, bitwise_xor = bitwise_or, bitwise_xor
    bitwise_left_shift, bitwise_right_shift = bitwise_left_shift, bitwise_right_shift
    logical_not_, logical_and_ = in_place(logical_not), in_place(logical_and)
    logical_or_, logical_xor_ = in_place(logical_or), in_place(logical_xor)
    bitwise_not_, bitwise_and_ = in_place(bitwise_not), in_place(bitwise_and)
    bitwise_or_, bitwise_xor_ = in_place(bitwise_or), in_place(bitwise_xor)
    bitwise_left_shift_ = __ilshift__ = in_place(bitwise_left_shift)
    bitwise_right_shift_ = __irshift__ = in_place(bitwise_right_shift)
    __invert__, __and__, __or__, __xor__ = bitwise_not, bitwise_and, bitwise_or, bitwise_xor
    __rand__, __ror__, __rxor__ = bitwise_and, bitwise_or, bitwise_xor
    __lshift__, __rshift__ = bitwise_left_shift, bitwise_right_shift
    __rlshift__, __rrshift__ = reflected(bitwise_left_shift), reflected(bitwise_right_shift)
    __iand__, __ior__, __ixor__ = bitwise_and_, bitwise_or_, bitwise_xor_
