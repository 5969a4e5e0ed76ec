"""Elementwise functions of tensors, with PyTorch's names, promotion and broadcasting."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.ops import arithmetic
from descent.tensor.common import operands
from descent.tensor.inplace import update

__all__ = ["PointwiseMethods", "add", "div", "mul", "neg", "pow", "sub"]


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other."""
    if alpha != 1:
        other = mul(other, alpha)
    return apply(arithmetic.add, *operands(input, other))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input − alpha · other."""
    if alpha != 1:
        other = mul(other, alpha)
    return apply(arithmetic.sub, *operands(input, other))


def mul(input: Any, other: Any) -> Any:
    """input · other."""
    return apply(arithmetic.mul, *operands(input, other))


def div(input: Any, other: Any) -> Any:
    """input / other; integers divide to floats."""
    return apply(arithmetic.div, *operands(input, other, floating=True))


def neg(input: Any) -> Any:
    """−input."""
    return apply(arithmetic.neg, input)


def pow(input: Any, exponent: Any) -> Any:
    """input to the power of exponent."""
    return apply(arithmetic.pow_, *operands(input, exponent))


class PointwiseMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    add, sub, mul, div, pow, neg = add, sub, mul, div, pow, neg
    __add__ = __radd__ = add
    __sub__, __mul__, __rmul__, __truediv__ = sub, mul, mul, div
    __pow__, __neg__ = pow, neg

    def __rsub__(self, other: Any) -> Any:
        return sub(other, self)

    def __rtruediv__(self, other: Any) -> Any:
        return div(other, self)

    def __rpow__(self, other: Any) -> Any:
        return pow(other, self)

    def add_(self, other: Any, *, alpha: Any = 1) -> Any:
        """`add` into this tensor's memory."""
        return update(self, arithmetic.add, other if alpha == 1 else mul(other, alpha))

    def sub_(self, other: Any, *, alpha: Any = 1) -> Any:
        """`sub` into this tensor's memory."""
        return update(self, arithmetic.sub, other if alpha == 1 else mul(other, alpha))

    def mul_(self, other: Any) -> Any:
        """`mul` into this tensor's memory."""
        return update(self, arithmetic.mul, other)

    def div_(self, other: Any) -> Any:
        """`div` into this tensor's memory."""
        return update(self, arithmetic.div, other)

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_
