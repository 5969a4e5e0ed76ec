"""Numbers that write down what is done to them.

    a Number  =  (kind, row)          a kind  =  (operation, kinds of the operands)

Two numbers computed in the same way from the same shared numbers, but from different rows of the
batch, are of one kind: the kind becomes one line inside a loop over the rows. Numbers that mix rows
(a sum over the batch) belong to no row. Being of one kind is a matter of structure, so equal
subexpressions are one node from the start.
Reference: hash-consing, Ershov 1958; recording by overloading, Griewank & Walther 2008, ch. 6.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from descent.scalar import Value

__all__ = ["SHARED", "Number", "Refusal", "Tape", "apply", "inside_package", "select"]

SHARED = -1  # the row of a number that belongs to no single row
_PACKAGE = str(Path(__file__).parents[2]) + os.sep


class Refusal(Exception):
    """The function cannot be replayed; the message says which line is the reason and why."""


class Tape:
    """Every kind of number seen so far: its operation, the operands of its first row, its rows."""

    def __init__(self) -> None:
        self.kinds: dict[tuple, int] = {}
        self.ops: list[str] = []
        self.args: list[tuple[Any, ...]] = []
        self.rows: list[set[int]] = []

    def leaf(self, op: str, *index: Any, row: int = SHARED) -> Number:
        """A number that comes from outside: a parameter, a column of the batch, a constant."""
        kind = self._kind((op, *index), op, index)
        self.rows[kind].add(row)
        return Number(self, kind, row)

    def constant(self, x: float) -> Number:
        return self.leaf("const", float(x).hex())

    def one(self, op: str, x: Number) -> Number:
        kind = self._kind((op, x.kind), op, (x,))
        self.rows[kind].add(x.row)
        return Number(self, kind, x.row)

    def two(self, op: str, a: Number, b: Number) -> Number:
        row = a.row
        if row == b.row or b.row == SHARED:
            key: tuple = (op, a.kind, b.kind)
        elif row == SHARED:
            key, row = (op, a.kind, b.kind), b.row
        else:
            key, row = (op, a.kind, a.row, b.kind, b.row), SHARED
        kind = self.kinds.get(key)
        if kind is None:
            kind = self._kind(key, op, (a, b))
        self.rows[kind].add(row)
        return Number(self, kind, row)

    def many(self, op: str, *args: Number) -> Number:
        rows = {a.row for a in args} - {SHARED}
        if len(rows) <= 1:
            key: tuple = (op, *(a.kind for a in args))
            row = rows.pop() if rows else SHARED
        else:
            key, row = (op, *((a.kind, a.row) for a in args)), SHARED
        kind = self._kind(key, op, args)
        self.rows[kind].add(row)
        return Number(self, kind, row)

    def _kind(self, key: tuple, op: str, args: tuple) -> int:
        kind = self.kinds.get(key)
        if kind is None:
            kind = self.kinds[key] = len(self.ops)
            self.ops.append(op)
            self.args.append(args)
            self.rows.append(set())
        return kind


def _arithmetic(op: str, neutral_right: float | None, neutral_left: float | None) -> tuple:
    """The methods for `self op other` and `other op self`; x + 0 and x · 1 are x itself."""

    def forward(self: Number, other: Any) -> Any:
        if other.__class__ is not Number:
            if isinstance(other, Value):
                return _BINARY[op](Value(self), other)
            if (number := _plain(other)) is None:
                return NotImplemented
            if number == neutral_right:
                return self
            other = self.tape.constant(number)
        return self.tape.two(op, self, other)

    def backward(self: Number, other: Any) -> Any:
        if isinstance(other, Value):
            return _BINARY[op](other, Value(self))
        if (number := _plain(other)) is None:
            return NotImplemented
        if number == neutral_left:
            return self
        return self.tape.two(op, self.tape.constant(number), self)

    return forward, backward


def _comparison(op: str) -> Callable[..., Any]:
    def compare(self: Number, other: Any) -> Any:
        if isinstance(other, Value):
            other = other.data
        if other.__class__ is not Number:
            if (number := _plain(other)) is None:
                return NotImplemented
            other = self.tape.constant(number)
        return self.tape.two(op, self, other)

    return compare


class Number:
    """One number under recording. Arithmetic and comparisons give Numbers (a comparison is 0 or 1);
    whatever would need its value now, a branch or `float(x)`, is refused."""

    __slots__ = ("kind", "row", "tape")

    def __init__(self, tape: Tape, kind: int, row: int) -> None:
        self.tape = tape
        self.kind = kind
        self.row = row

    __add__, __radd__ = _arithmetic("+", 0, 0)
    __sub__, __rsub__ = _arithmetic("-", 0, None)
    __mul__, __rmul__ = _arithmetic("*", 1, 1)
    __truediv__, __rtruediv__ = _arithmetic("/", 1, None)
    __mod__, __rmod__ = _arithmetic("%", None, None)
    __floordiv__, __rfloordiv__ = _arithmetic("//", None, None)
    _power, __rpow__ = _arithmetic("**", 1, None)

    __lt__, __le__ = _comparison("<"), _comparison("<=")
    __gt__, __ge__ = _comparison(">"), _comparison(">=")
    __eq__, __ne__ = _comparison("=="), _comparison("!=")  # type: ignore[assignment]
    __hash__ = object.__hash__

    def __pow__(self, n: Any) -> Any:
        if (number := _plain(n)) is not None:
            if number == 0:
                return 1.0
            if number in (2, 3):
                return self * self if number == 2 else self * self * self
            if number == -1:
                return 1.0 / self
        return self._power(n)

    def __neg__(self) -> Number:
        tape, kind = self.tape, self.kind
        if tape.ops[kind] == "neg" and self.row != SHARED:
            return Number(tape, tape.args[kind][0].kind, self.row)
        return tape.one("neg", self)

    def __pos__(self) -> Number:
        return self

    def __abs__(self) -> Number:
        return self.tape.one("abs", self)

    def __value__(self) -> type[Value]:
        """The class of the Value that holds this number; asked by `Value(number)`."""
        from descent.compiler.scalars.recorded import Recorded

        return Recorded

    def __getattr__(self, name: str) -> Any:
        """NumPy's functions on an object array call methods: `np.exp(x)` is `x.exp()`."""
        method = getattr(Value, name, None)
        if method is None or name.startswith("_"):
            raise AttributeError(f"a number under recording has no {name!r}")
        return lambda *args: getattr(Value(self), name)(*args).data

    def __bool__(self) -> bool:
        raise Refusal(f"{where()}: branches on a number, which differs from call to call")

    def _needs_value(self, *_: Any) -> Any:
        raise Refusal(f"{where()}: needs the number itself, which differs from call to call")

    # no __float__: Value(number) would take the float
    __int__ = __index__ = __complex__ = __format__ = _needs_value
    __round__ = __trunc__ = __floor__ = __ceil__ = _needs_value

    def __repr__(self) -> str:
        return f"<recorded number: {self.tape.ops[self.kind]}>"


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
    "//": lambda a, b: a // b,
    "**": lambda a, b: a**b,
}


def _plain(x: Any) -> float | None:
    """x as a float, or None if it is no plain number."""
    if x.__class__ is float or x.__class__ is int:
        return x
    if isinstance(x, (str, bytes, Value, Number)) or hasattr(x, "__len__"):
        return None
    try:
        return float(x)
    except (TypeError, ValueError):
        return None


def apply(op: str, *args: Any) -> Number:
    """The elementary function `op` of numbers of which at least one is recorded."""
    tape = next(a.tape for a in args if a.__class__ is Number)
    lifted = [a if a.__class__ is Number else tape.constant(a) for a in args]
    return tape.one(op, lifted[0]) if len(lifted) == 1 else tape.many(op, *lifted)


def select(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b."""
    if condition.__class__ is not Number:
        return a if condition else b
    return apply("where", condition, a, b)


def inside_package(filename: str) -> bool:
    return filename.startswith(_PACKAGE)


def where() -> str:
    """`file:line: the text of the line` of the innermost caller outside this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and inside_package(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return "in the package itself"
    name, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, line, frame.f_globals).strip()
    return f"{name}:{line}: `{text}`" if text else f"{name}:{line}"
