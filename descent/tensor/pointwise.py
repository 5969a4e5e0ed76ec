"""Arithmetic, powers, exponentials and trigonometry of tensors, under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply
from descent.dtypes import promote
from descent.ops import activations, arithmetic, exponentials, special, trigonometry
from descent.tensor.calling import binary, in_place, need_tensor, reflected, unary
from descent.tensor.common import cast, operands
from descent.tensor.inplace import update

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "arccos", "arccosh", "arcsin",
    "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "cos",
    "cosh", "div", "divide", "erf", "erfc", "exp", "exp2", "expm1", "hypot", "log", "log10",
    "log1p", "log2", "mul", "multiply", "neg", "negative", "pow", "reciprocal", "rsqrt", "rsub",
    "sigmoid", "sin", "sinc", "sinh", "sqrt", "square", "sub", "subtract", "tan", "tanh",
    "true_divide",
]  # fmt: skip


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other."""
    if alpha != 1:
        other = mul(other, alpha)
    return apply(arithmetic.add, *operands(input, other))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input − alpha · other."""
    if alpha != 1:
        other = mul(other, alpha)
    a, b = operands(input, other)
    if a.array.dtype.kind == "b":
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported: "
            "use the `^` or `logical_xor()` operator instead."
        )
    return apply(arithmetic.sub, a, b)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other − alpha · input."""
    return sub(other, input, alpha=alpha)


mul = binary(arithmetic.mul)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; integers divide to floats."""
    return apply(arithmetic.div, *operands(input, other, floating=True))


def true_divide(input: Any, other: Any) -> Any:
    """input / other; integers divide to floats."""
    return div(input, other)


def neg(input: Any) -> Any:
    """−input."""
    if need_tensor(input, "neg").array.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported: "
            "use the `~` or `logical_not()` operator instead."
        )
    return apply(arithmetic.neg, input)


def pow(input: Any, exponent: Any) -> Any:
    """input to the power of exponent (each a tensor or a number)."""
    if isinstance(exponent, TensorBase):
        return apply(arithmetic.pow_, *operands(input, exponent))
    if not isinstance(exponent, (int, float, np.number)):
        raise TypeError(f"pow(): exponent must be a tensor or a number, got {exponent!r:.60}")
    need_tensor(input, "pow")
    x = cast(input, promote(input.array, exponent))
    if x.array.dtype.kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return apply(arithmetic.power, x, exponent=exponent)


abs = unary(arithmetic.absolute, name="abs")
square = unary(arithmetic.square)
reciprocal = unary(arithmetic.reciprocal, floating=True)

exp = unary(exponentials.exp, floating=True)
exp2 = unary(exponentials.exp2, floating=True)
expm1 = unary(exponentials.expm1, floating=True)
log = unary(exponentials.log, floating=True)
log2 = unary(exponentials.log2, floating=True)
log10 = unary(exponentials.log10, floating=True)
log1p = unary(exponentials.log1p, floating=True)
sqrt = unary(exponentials.sqrt, floating=True)
rsqrt = unary(exponentials.rsqrt, floating=True)

sin = unary(trigonometry.sin, floating=True)
cos = unary(trigonometry.cos, floating=True)
tan = unary(trigonometry.tan, floating=True)
asin = unary(trigonometry.asin, floating=True)
acos = unary(trigonometry.acos, floating=True)
atan = unary(trigonometry.atan, floating=True)
sinh = unary(trigonometry.sinh, floating=True)
cosh = unary(trigonometry.cosh, floating=True)
tanh = unary(trigonometry.tanh, floating=True)
asinh = unary(trigonometry.asinh, floating=True)
acosh = unary(trigonometry.acosh, floating=True)
atanh = unary(trigonometry.atanh, floating=True)
sinc = unary(trigonometry.sinc, floating=True)
atan2 = binary(trigonometry.atan2, floating=True)
hypot = binary(trigonometry.hypot, floating=True)

sigmoid = unary(activations.sigmoid, floating=True)
erf = unary(special.erf, floating=True)
erfc = unary(special.erfc, floating=True)

absolute, negative, multiply, subtract, divide = abs, neg, mul, sub, div
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh


class PointwiseMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    add, sub, mul, div, pow, neg = add, sub, mul, div, pow, neg
    subtract, multiply, divide, true_divide, negative = sub, mul, div, true_divide, neg
    __add__ = __radd__ = add
    __sub__, __mul__, __rmul__, __truediv__ = sub, mul, mul, div
    __pow__, __neg__, __abs__ = pow, neg, abs
    __rsub__, __rtruediv__, __rpow__ = reflected(sub), reflected(div), reflected(pow)

    abs = absolute = abs
    square, reciprocal, sqrt, rsqrt = square, reciprocal, sqrt, rsqrt
    exp, exp2, expm1, log, log2, log10, log1p = exp, exp2, expm1, log, log2, log10, log1p
    sin, cos, tan, asin, acos, atan, sinc = sin, cos, tan, asin, acos, atan, sinc
    sinh, cosh, tanh, asinh, acosh, atanh = sinh, cosh, tanh, asinh, acosh, atanh
    arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh
    atan2, arctan2, hypot, sigmoid, erf, erfc = atan2, atan2, hypot, sigmoid, erf, erfc

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        """`add` into this tensor's memory."""
        return update(self, arithmetic.add, other if alpha == 1 else mul(other, alpha))

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        """`sub` into this tensor's memory."""
        return update(self, arithmetic.sub, other if alpha == 1 else mul(other, alpha))

    def mul_(self, other: Any) -> Any:
        """`mul` into this tensor's memory."""
        return update(self, arithmetic.mul, other)

    div_, pow_, neg_, abs_ = in_place(div), in_place(pow), in_place(neg), in_place(abs)
    square_, reciprocal_, sqrt_, rsqrt_ = map(in_place, (square, reciprocal, sqrt, rsqrt))
    exp_, exp2_, expm1_, log_ = map(in_place, (exp, exp2, expm1, log))
    log2_, log10_, log1p_ = map(in_place, (log2, log10, log1p))
    sin_, cos_, tan_, tanh_ = map(in_place, (sin, cos, tan, tanh))
    sigmoid_, erf_ = in_place(sigmoid), in_place(erf)
    __iadd__, __isub__, __imul__, __itruediv__, __ipow__ = add_, sub_, mul_, div_, pow_
