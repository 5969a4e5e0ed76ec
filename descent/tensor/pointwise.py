"""Arithmetic, powers, exponentials and trigonometry of tensors, under PyTorch's names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply
from descent.dtypes import promote
from descent.ops import activations, arithmetic, choices, exponentials, rounding, trigonometry
from descent.tensor.calling import binary, in_place, need_kind, need_tensor, reflected, unary
from descent.tensor.common import as_tensor, cast, operands
from descent.tensor.inplace import update

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "addcdiv", "addcmul", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan", "atan2",
    "atanh", "cos", "cosh", "deg2rad", "div", "divide", "exp", "exp2", "expm1", "float_power",
    "hypot", "ldexp", "lerp", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logit",
    "mul", "multiply", "neg", "negative", "pow", "rad2deg", "reciprocal", "rsqrt", "rsub",
    "sigmoid", "sin", "sinc", "sinh", "sqrt", "square", "sub", "subtract", "tan", "tanh",
    "true_divide", "xlogy",
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
    if any(x is True or x is False or _is_bool(getattr(x, "array", x)) for x in (input, other)):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported: "
            "use the `^` or `logical_xor()` operator instead."
        )
    return apply(arithmetic.sub, a, b)


def _is_bool(a: Any) -> bool:
    return getattr(a, "dtype", None) == np.bool_


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other − alpha · input."""
    return sub(other, input, alpha=alpha)


mul = binary(arithmetic.mul)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; integers divide to floats unless rounded ("trunc" or "floor")."""
    if rounding_mode is None:
        return apply(arithmetic.div, *operands(input, other, floating=True))
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    op = rounding.div_trunc if rounding_mode == "trunc" else rounding.div_floor
    return apply(op, *whole_divisor(*operands(input, other)))


def whole_divisor(a: Any, b: Any) -> tuple[Any, Any]:
    """The same operands; no booleans, and integers may not be divided by 0."""
    need_kind(b, "div", "iuf")
    if b.array.dtype.kind in "iub" and not b.array.all():
        raise RuntimeError("ZeroDivisionError: an integer was divided by 0")
    return a, b


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
        a, b = operands(input, exponent)
        need_kind(a, "pow", "iuf")
        return apply(arithmetic.pow_, a, b)
    if not isinstance(exponent, (int, float, np.number)):
        raise TypeError(f"pow(): exponent must be a tensor or a number, got {exponent!r:.60}")
    need_tensor(input, "pow")
    x = cast(input, promote(input.array, exponent))
    need_kind(x, "pow", "iuf")
    if x.array.dtype.kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return apply(arithmetic.power, x, exponent=exponent)


def square(input: Any) -> Any:
    """input²."""
    if need_tensor(input, "square").array.dtype.kind == "b":
        input = cast(input, np.dtype(np.int64))
    return apply(arithmetic.square, input)


def float_power(input: Any, exponent: Any) -> Any:
    """Power computed in float64."""
    double = np.dtype(np.float64)
    return apply(arithmetic.pow_, *(cast(as_tensor(x, double), double) for x in (input, exponent)))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value · tensor1 · tensor2."""
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else mul(product, value))


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value · tensor1 / tensor2."""
    if tensor1.array.dtype.kind in "iub" and tensor2.array.dtype.kind in "iub":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported; convert an operand with .float()"
        )
    return apply(arithmetic.addcdiv, *operands(input, tensor1, tensor2), value=value)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight · (end − input)."""
    return apply(arithmetic.lerp, *operands(input, end, weight, floating=True))


def ldexp(input: Any, other: Any) -> Any:
    """input · 2^other."""
    return mul(input, pow(2.0, other))


def deg2rad(input: Any) -> Any:
    """Degrees to radians."""
    return mul(need_tensor(input, "deg2rad"), math.pi / 180.0)


def rad2deg(input: Any) -> Any:
    """Radians to degrees."""
    return mul(need_tensor(input, "rad2deg"), 180.0 / math.pi)


def logit(input: Any, eps: float | None = None) -> Any:
    """ln(x / (1 − x)); x is first brought into [eps, 1 − eps] when eps is given."""
    (x,) = operands(need_tensor(input, "logit"), floating=True)
    if eps is not None:
        x = apply(choices.clamp, *operands(x, float(eps), 1.0 - eps))
    return apply(exponentials.logit, x)


abs = unary(arithmetic.absolute, kinds="iuf", name="abs")

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

logaddexp = binary(exponentials.logaddexp, floating=True)
logaddexp2 = binary(exponentials.logaddexp2, floating=True)
xlogy = binary(exponentials.xlogy, floating=True)
sigmoid = unary(activations.sigmoid, floating=True)
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
    __rsub__, __rpow__ = reflected(sub), reflected(pow)
    __rtruediv__ = __rdiv__ = reflected(div)

    abs = absolute = abs
    square, reciprocal, sqrt, rsqrt = square, reciprocal, sqrt, rsqrt
    exp, exp2, expm1, log, log2, log10, log1p = exp, exp2, expm1, log, log2, log10, log1p
    sin, cos, tan, asin, acos, atan, sinc = sin, cos, tan, asin, acos, atan, sinc
    sinh, cosh, tanh, asinh, acosh, atanh = sinh, cosh, tanh, asinh, acosh, atanh
    arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh
    atan2, arctan2, hypot, sigmoid, logit = atan2, atan2, hypot, sigmoid, logit
    logaddexp, logaddexp2, xlogy, ldexp, lerp = logaddexp, logaddexp2, xlogy, ldexp, lerp
    addcmul, addcdiv, float_power = addcmul, addcdiv, float_power
    deg2rad, rad2deg = deg2rad, rad2deg

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
    sigmoid_, logit_, lerp_ = in_place(sigmoid), in_place(logit), in_place(lerp)
    addcmul_, addcdiv_, true_divide_ = in_place(addcmul), in_place(addcdiv), in_place(true_divide)
    asin_, acos_, atan_, atan2_ = map(in_place, (asin, acos, atan, atan2))
    sinh_, cosh_, asinh_, acosh_ = map(in_place, (sinh, cosh, asinh, acosh))
    atanh_, sinc_, hypot_, xlogy_ = map(in_place, (atanh, sinc, hypot, xlogy))
    deg2rad_, rad2deg_, ldexp_ = map(in_place, (deg2rad, rad2deg, ldexp))
    float_power_, absolute_, negative_ = in_place(float_power), abs_, neg_
    subtract_, multiply_, divide_ = sub_, mul_, div_
    arcsin_, arccos_, arctan_, arctan2_ = asin_, acos_, atan_, atan2_
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    __iadd__, __isub__, __imul__, __itruediv__, __ipow__ = add_, sub_, mul_, div_, pow_
