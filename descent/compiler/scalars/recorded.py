"""A Value whose data is a recorded `Number`: the engine itself writes the chain rule down.

`Recorded` has no backward of its own. It inherits `Value`'s, which computes `parent.grad +=
slope · grad` with Numbers, so a replayed gradient is the list of operations the engine would do.
Only what decides by looking at a number (relu, maximum, …) or calls Python's `math` is said again
here as recorded operations; a test holds each beside `Value`'s own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from descent.compiler.scalars.tape import Number, apply, select
from descent.scalar import Value, ieee, topological_order

__all__ = ["Recorded", "note_foreign"]

_LN2, _LN10, _TWO_OVER_SQRT_PI = math.log(2.0), math.log(10.0), 2.0 / math.sqrt(math.pi)


class Recorded(Value):
    """A Value under recording; every operation with one gives one. Same memory layout as Value, so
    that a parameter can become one for the time of the recording."""

    __slots__ = ()
    # Values met that are not under recording, with their data and grad at that time
    foreign: ClassVar[dict[int, tuple[Value, Any, Any]]] = {}

    def _unary(self, op: str, y: Any, dy: Any) -> Value:
        return _record(op, y, (self,), (dy,))

    def _binary(self, op: str, other: Any, function: Callable[..., tuple]) -> Value:
        other = _lift(other)
        if other is NotImplemented:
            return NotImplemented
        pair = _PAIRS[op] if _any_recorded(self, other) else function
        y, da, db = pair(self.data, other.data)
        return _record(op, y, (self, other), (da, db))

    def _choose(self, op: str, other: Any, larger: bool) -> Value:
        if (node := _lift(other)) is NotImplemented or not _any_recorded(self, node):
            return super()._choose(op, other, larger)
        a, b = self.data, node.data
        tie = _eq(a, b)
        first = apply("or", _ne(a, a), (a > b) if larger else (a < b))
        first = select(_ne(b, b), _ne(a, a), first)
        da = select(tie, 0.5, first)
        return _record(op, select(first, a, b), (self, node), (da, 1.0 - da))

    def __truediv__(self, other: Any) -> Value:
        if (other := _lift(other)) is NotImplemented:
            return NotImplemented
        if not _any_recorded(self, other):
            return super().__truediv__(other)
        a, b = self.data, other.data
        y = a / b
        return _record("/", y, (self, other), (ieee.divide(1.0, b), -(y / b)))

    def __pow__(self, other: Any) -> Value:
        if (exponent := _lift(other)) is NotImplemented:
            return NotImplemented
        if not _any_recorded(self, exponent):
            return super().__pow__(other)
        x, n = self.data, exponent.data
        y = _power(x, n)
        if n.__class__ is Number:
            dx = select(n == 0, 0.0, n * _power(x, n - 1))
        else:
            dx = n * _power(x, n - 1) if n != 0 else 0
        if exponent is not other:  # a plain number is part of the operation, not a node
            return _record(f"**{n}", y, (self,), (dx,))
        at_zero = apply("and", _eq(x, 0), n >= 0)
        return _record("**", y, (self, exponent), (dx, select(at_zero, 0.0, y * _log(x))))

    def __neg__(self) -> Value:
        return _record("neg", -self.data, (self,), (-1,))

    def __bool__(self) -> bool:
        return bool(self.data)


def _record(op: str, data: Any, parents: tuple, local: tuple) -> Recorded:
    out = object.__new__(Recorded)
    out.data, out.grad, out.parents, out.local, out.op, out.label = data, 0, parents, local, op, ""
    return out


def _lift(x: Any) -> Any:
    """x as a Value that can be an operand; NotImplemented where x is none."""
    if isinstance(x, Value):
        if x.__class__ is not Recorded:
            note_foreign(x)
        return x
    try:
        return Value(x)
    except TypeError:
        return NotImplemented


def note_foreign(x: Value) -> None:
    """Remember a Value that is not under recording, and all it was computed from, as they are."""
    if id(x) not in Recorded.foreign:
        for v in topological_order(x):
            Recorded.foreign.setdefault(id(v), (v, v.data, v.grad))


def _any_recorded(a: Value, b: Value) -> bool:
    return a.data.__class__ is Number or b.data.__class__ is Number


def _eq(a: Any, b: Any) -> Any:
    return a == b


def _ne(a: Any, b: Any) -> Any:
    return a != b


def _power(x: Any, n: Any) -> Any:
    recorded = x.__class__ is Number or n.__class__ is Number
    return x**n if recorded else ieee.power(x, n)


def _log(x: Any) -> Any:
    return apply("log", x) if x.__class__ is Number else Value(x).log().data


def _again(name: str) -> Callable[..., Any]:
    """Value's own method, its result a Recorded: the arithmetic is done by the Numbers."""
    method = getattr(Value, name)

    def recorded(self: Value, other: Any) -> Any:
        if (other := _lift(other)) is NotImplemented:
            return NotImplemented
        out = method(self, other)
        out.__class__ = Recorded
        return out

    return recorded


def _reversed(name: str) -> Callable[..., Any]:
    def recorded(self: Value, other: Any) -> Any:
        if (other := _lift(other)) is NotImplemented:
            return NotImplemented
        return getattr(Recorded, name)(other, self)

    return recorded


for _name in ("add", "sub", "mul"):
    setattr(Recorded, f"__{_name}__", _again(f"__{_name}__"))
for _name in ("add", "sub", "mul", "truediv", "pow", "mod", "floordiv"):
    setattr(Recorded, f"__r{_name}__", _reversed(f"__{_name}__"))


def _sigmoid(x: Number) -> Any:
    e = apply("exp", -abs(x))  # never overflows
    return select(x >= 0, 1.0, e) / (1.0 + e)


# method: (name of the node, value of x, derivative from x and y), as in descent/scalar/functions.py
_ONE: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "exp": ("exp", lambda x: apply("exp", x), lambda x, y: y),
    "exp2": ("exp2", lambda x: 2.0**x, lambda x, y: y * _LN2),
    "expm1": ("expm1", lambda x: apply("expm1", x), lambda x, y: y + 1.0),
    "log": ("log", lambda x: apply("log", x), lambda x, y: 1.0 / x),
    "log1p": ("log1p", lambda x: apply("log1p", x), lambda x, y: 1.0 / (1.0 + x)),
    "log2": ("log2", lambda x: apply("log2", x), lambda x, y: 1.0 / (x * _LN2)),
    "log10": ("log10", lambda x: apply("log10", x), lambda x, y: 1.0 / (x * _LN10)),
    "sqrt": ("sqrt", lambda x: apply("sqrt", x), lambda x, y: 0.5 / y),
    "relu": ("ReLU", lambda x: apply("relu", x), lambda x, y: y > 0),
    "sigmoid": ("sigmoid", _sigmoid, lambda x, y: y * (1.0 - y)),
    "tanh": ("tanh", lambda x: apply("tanh", x), lambda x, y: 1.0 - y * y),
    "erf": (
        "erf",
        lambda x: apply("erf", x),
        lambda x, y: _TWO_OVER_SQRT_PI * apply("exp", -x * x),
    ),
    "sin": ("sin", lambda x: apply("sin", x), lambda x, y: apply("cos", x)),
    "cos": ("cos", lambda x: apply("cos", x), lambda x, y: -apply("sin", x)),
    "tan": ("tan", lambda x: apply("tan", x), lambda x, y: 1.0 + y * y),
    "sinh": ("sinh", lambda x: apply("sinh", x), lambda x, y: apply("cosh", x)),
    "cosh": ("cosh", lambda x: apply("cosh", x), lambda x, y: apply("sinh", x)),
    "arctan": ("arctan", lambda x: apply("arctan", x), lambda x, y: 1.0 / (1.0 + x * x)),
    "arcsin": (
        "arcsin",
        lambda x: apply("arcsin", x),
        lambda x, y: 1.0 / apply("sqrt", 1.0 - x * x),
    ),
    "arccos": (
        "arccos",
        lambda x: apply("arccos", x),
        lambda x, y: -(1.0 / apply("sqrt", 1.0 - x * x)),
    ),
    "arcsinh": (
        "arcsinh",
        lambda x: apply("arcsinh", x),
        lambda x, y: 1.0 / apply("sqrt", x * x + 1.0),
    ),
    "arccosh": (
        "arccosh",
        lambda x: apply("arccosh", x),
        lambda x, y: 1.0 / apply("sqrt", x * x - 1.0),
    ),
    "arctanh": ("arctanh", lambda x: apply("arctanh", x), lambda x, y: 1.0 / (1.0 - x * x)),
    "abs": ("abs", abs, lambda x, y: (x > 0) - (x < 0)),
    "__floor__": ("floor", lambda x: apply("floor", x), lambda x, y: 0.0),
    "__ceil__": ("ceil", lambda x: apply("ceil", x), lambda x, y: 0.0),
    "__trunc__": ("trunc", lambda x: apply("trunc", x), lambda x, y: 0.0),
    "rint": ("rint", lambda x: apply("rint", x), lambda x, y: 0.0),
}


def _function(name: str) -> Callable[[Recorded], Value]:
    op, value, slope = _ONE[name]
    plain = getattr(Value, name)

    def recorded(self: Recorded) -> Value:
        x = self.data
        if x.__class__ is not Number:  # a plain number met in passing
            return plain(Value(x))
        y = value(x)
        return self._unary(op, y, slope(x, y))

    return recorded


for _name in _ONE:
    setattr(Recorded, _name, _function(_name))


def _remainder(a: Any, b: Any) -> tuple[Any, Any, Any]:
    r = apply("%", a, b)
    return r, 1.0, select(_ne(r, r), math.nan, -apply("//", a, b))


def _fmod(a: Any, b: Any) -> tuple[Any, Any, Any]:
    r = apply("fmod", a, b)
    return r, 1.0, select(_ne(r, r), math.nan, -apply("trunc", apply("/", a, b)))


def _arctan2(a: Any, b: Any) -> tuple[Any, Any, Any]:
    square = a * a + b * b
    return (
        apply("arctan2", a, b),
        select(_eq(square, 0), 0.0, b / square),
        select(_eq(square, 0), 0.0, -a / square),
    )


def _hypot(a: Any, b: Any) -> tuple[Any, Any, Any]:
    y = apply("hypot", a, b)
    return y, a / y, b / y


_PAIRS: dict[str, Callable[[Any, Any], tuple[Any, Any, Any]]] = {
    "%": _remainder,
    "//": lambda a, b: (apply("//", a, b), 0.0, 0.0),
    "fmod": _fmod,
    "arctan2": _arctan2,
    "hypot": _hypot,
}
