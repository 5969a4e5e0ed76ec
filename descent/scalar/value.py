"""Value: one number that remembers how it was computed, and so knows its derivative.

    y = f(a, b)   records   parents (a, b)   and   local (∂y/∂a, ∂y/∂b)   as numbers
    dL/da = Σ over paths from a to L of the product of the local derivatives (the chain rule)

`backward()` sums over all paths at once by walking the graph in reverse topological order.
Reference: Linnainmaa 1970; Baydin et al. 2018, arXiv:1502.05767, section 3.2. API: micrograd's.
Standard library only. Left out: second derivatives (locals are numbers, not Values).

How a Value compares: `<  <=  >  >=  ==  !=` and truth look at `data`, as a compiled kernel does, so
`max(a, b)` and `if x == m` take the branch the kernel takes. The hash is the object's identity, so
sets and dicts keep every node apart; `node in a_list` compares data, so use a set for topology.
Arithmetic is IEEE's (see `ieee`): x/0, log 0 and overflow give inf or nan, never an exception.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable
from typing import Any

from descent.scalar import ieee
from descent.scalar.functions import Functions
from descent.scalar.steps import Steps

__all__ = ["Value", "topological_order"]

_ACCEPTED = "a Value, an int, a float, a bool or another real number (a NumPy scalar, a Fraction)"
_NEVER = (str, bytes, bytearray, type(None), list, tuple, dict, set, frozenset, complex)
_ADD, _SUB, _NEG = (1, 1), (1, -1), (-1,)  # shared: these derivatives are the same everywhere


class Value(Functions, Steps):
    """A number in a computation graph, with micrograd's API.

    data     the number
    grad     d(root)/d(this), filled by `root.backward()`
    parents  the Values it was computed from, in the order written
    local    d(this)/d(parent), one number per parent, recorded when this was computed
    op       what computed it: "+", "*", "**2", "tanh", …; "" for a leaf
    label    a name for drawings and error messages

    A new operation is one line: `Value(y, (x,), "cube", local=(3 * x.data**2,))`; micrograd's way,
    assigning a closure to `_backward`, works too. Raises TypeError for anything but a real number.
    """

    __slots__ = ("data", "grad", "label", "local", "op", "parents")

    data: float
    grad: float
    local: tuple[float, ...] | Callable[[], object] | None

    def __init__(
        self,
        data: Any,
        _children: Iterable[Value] = (),
        _op: str = "",
        label: str = "",
        *,
        local: Iterable[float] | None = None,
    ) -> None:
        number = data if data.__class__ is float else _as_number(data)
        if number is None:
            recorded = getattr(data, "__value__", None)  # a number that descent.compiler records
            if recorded is None:
                raise TypeError(_refusal(data))
            self.__class__, number = recorded(), data
        self.data = number
        self.grad = 0
        self.parents = tuple(_children)
        self.op = _op
        self.label = label
        self.local = () if not self.parents else None if local is None else tuple(local)
        if self.local is not None and len(self.local) != len(self.parents):
            raise ValueError(
                f"op {_op!r}: {len(self.parents)} parents but {len(self.local)} local derivatives; "
                "give one number d(this)/d(parent) for each parent"
            )

    # --- arithmetic

    def __add__(self, other: Any) -> Value:
        if other.__class__ is not Value and (other := _promote(other, "+")) is NotImplemented:
            return NotImplemented
        return _node(self.data + other.data, "+", (self, other), _ADD)

    def __radd__(self, other: Any) -> Value:
        if (other := _promote(other, "+")) is NotImplemented:
            return NotImplemented
        return other + self

    def __mul__(self, other: Any) -> Value:
        if other.__class__ is not Value and (other := _promote(other, "*")) is NotImplemented:
            return NotImplemented
        a, b = self.data, other.data
        return _node(a * b, "*", (self, other), (b, a))

    def __rmul__(self, other: Any) -> Value:
        if (other := _promote(other, "*")) is NotImplemented:
            return NotImplemented
        return other * self

    def __sub__(self, other: Any) -> Value:
        if other.__class__ is not Value and (other := _promote(other, "-")) is NotImplemented:
            return NotImplemented
        return _node(self.data - other.data, "-", (self, other), _SUB)

    def __rsub__(self, other: Any) -> Value:
        if (other := _promote(other, "-")) is NotImplemented:
            return NotImplemented
        return other - self

    def __truediv__(self, other: Any) -> Value:
        if other.__class__ is not Value and (other := _promote(other, "/")) is NotImplemented:
            return NotImplemented
        a, b = self.data, other.data
        y = ieee.divide(a, b)
        return _node(y, "/", (self, other), (ieee.divide(1.0, b), -ieee.divide(y, b)))

    def __rtruediv__(self, other: Any) -> Value:
        if (other := _promote(other, "/")) is NotImplemented:
            return NotImplemented
        return other / self

    def __pow__(self, other: Any) -> Value:
        exponent = _promote(other, "**")
        if exponent is NotImplemented:
            return NotImplemented
        x, n = self.data, exponent.data
        y, dx = ieee.power(x, n), ieee.power_slope(x, n)
        if exponent is not other:  # a plain number is part of the operation, not a node
            return _node(y, f"**{n}", (self,), (dx,))
        return _node(y, "**", (self, other), (dx, ieee.power_slope_of_exponent(x, n, y)))

    def __rpow__(self, other: Any) -> Value:
        if (other := _promote(other, "**")) is NotImplemented:
            return NotImplemented
        return other**self

    def __neg__(self) -> Value:
        return _node(-self.data, "neg", (self,), _NEG)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return self.abs()

    def _unary(self, op: str, y: float, dy: float) -> Value:
        return _node(y, op, (self,), (dy,))

    def _binary(self, op: str, other: Any, function: Callable[..., tuple]) -> Value:
        """`function(a, b)` gives the value and its two derivatives."""
        other = _promote(other, op)
        if other is NotImplemented:
            return NotImplemented
        y, da, db = function(self.data, other.data)
        return _node(y, op, (self, other), (da, db))

    def __rmod__(self, other: Any) -> Value:
        if (other := _promote(other, "%")) is NotImplemented:
            return NotImplemented
        return other % self

    def __rfloordiv__(self, other: Any) -> Value:
        if (other := _promote(other, "//")) is NotImplemented:
            return NotImplemented
        return other // self

    def _choose(self, op: str, other: Any, larger: bool) -> Value:
        node = _promote(other, op)
        if node is NotImplemented:
            raise TypeError(f"Value {op} {type(other).__name__}: {_refusal(other)}")
        a, b = self.data, node.data
        if a == b:
            return _node(a, op, (self, node), (0.5, 0.5))
        first = a != a or (b == b and (a > b) == larger)
        return _node(a if first else b, op, (self, node), (1, 0) if first else (0, 1))

    # --- comparison and conversion: by data

    def __lt__(self, other: Any) -> bool:
        return NotImplemented if (number := _comparable(other)) is None else self.data < number

    def __le__(self, other: Any) -> bool:
        return NotImplemented if (number := _comparable(other)) is None else self.data <= number

    def __gt__(self, other: Any) -> bool:
        return NotImplemented if (number := _comparable(other)) is None else self.data > number

    def __ge__(self, other: Any) -> bool:
        return NotImplemented if (number := _comparable(other)) is None else self.data >= number

    def __eq__(self, other: Any) -> bool:
        return NotImplemented if (number := _comparable(other)) is None else self.data == number

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return self.data != 0

    def __float__(self) -> float:
        """The number alone: whatever is computed from it is cut off from this graph."""
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    # --- the chain rule

    def backward(self) -> None:
        """Set `grad` of every Value this one was computed from to d(this)/d(that).

        Called again (on this or another root), leaves add the new gradient to the old, as in
        PyTorch, until `zero_grad`; nodes in between are computed afresh, so nothing counts twice.
        """
        order = _computed(self)
        for node in order:
            node.grad = 0
        self.grad += 1
        for node in reversed(order):
            local = node.local
            if local.__class__ is not tuple:
                node._backward()
                continue
            grad = node.grad  # from here on `_pass_on`, without a call for each node
            if grad.__class__ is int:
                grad = ieee.bounded(grad)  # type: ignore[arg-type]
            for parent, slope in zip(node.parents, local):  # type: ignore[arg-type]
                parent.grad += slope * grad

    def zero_grad(self) -> None:
        """Set `grad` of this and of every Value it was computed from to 0."""
        for node in topological_order(self):
            node.grad = 0

    def _pass_on(self) -> None:
        """One step of the chain rule: parent.grad += ∂self/∂parent · self.grad."""
        grad = self.grad
        if grad.__class__ is int:
            grad = ieee.bounded(grad)  # type: ignore[arg-type]
        for parent, slope in zip(self.parents, self.local):  # type: ignore[arg-type]
            parent.grad += slope * grad

    @property
    def _backward(self) -> Callable[[], object]:
        local = self.local
        if local.__class__ is tuple:
            return self._pass_on
        if local is None:
            raise RuntimeError(
                f"op {self.op!r} was made from {len(self.parents)} parents without a derivative: "
                "pass local=(d/d parent, …) to Value, or assign its `_backward`"
            )
        return local  # type: ignore[return-value]

    @_backward.setter
    def _backward(self, step: Callable[[], object]) -> None:
        self.local = step

    # --- micrograd's names, read-only

    @property
    def _prev(self) -> set[Value]:
        return set(self.parents)

    @property
    def _op(self) -> str:
        return self.op


def topological_order(root: Value) -> list[Value]:
    """Every Value that root was computed from, parents before children, root last; no recursion."""
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[Value | None] = [root]
    while stack:
        node = stack.pop()
        if node is None:  # all parents of the node below are done
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            if node.parents:
                stack += (node, None, *node.parents[::-1])
            else:
                order.append(node)
    return order


def _computed(root: Value) -> list[Value]:
    """`topological_order` without the leaves: half the nodes, in half the time."""
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[Value | None] = [root] if root.parents else []
    while stack:
        node = stack.pop()
        if node is None:
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            stack.append(node)
            stack.append(None)
            for parent in reversed(node.parents):
                if parent.parents and parent not in seen:
                    stack.append(parent)
    return order


_new = object.__new__


def _node(data: float, op: str, parents: tuple, local: tuple) -> Value:
    """A computed Value, made without the constructor's checks: this is the hot path."""
    out = _new(Value)
    out.data = ieee.bounded(data) if data.__class__ is int else data  # type: ignore[arg-type]
    out.grad = 0
    out.parents = parents
    out.local = local
    out.op = op
    out.label = ""
    return out


def _as_number(x: Any) -> float | None:
    """The plain int or float that x is, or None: arrays, even of one element, are not numbers."""
    if x.__class__ is float:
        return x
    if isinstance(x, numbers.Integral):  # int, bool, NumPy's integers
        return ieee.bounded(int(x))
    if isinstance(x, numbers.Complex) and not isinstance(x, numbers.Real):
        return None
    if hasattr(x, "__float__") and not hasattr(x, "__len__") and not isinstance(x, Value):
        return float(x)
    return None


def _promote(x: Any, op: str) -> Any:
    """x as a Value; NotImplemented where x (an array, say) may know better what to do with us."""
    if isinstance(x, Value):
        return x
    number = _as_number(x)
    if number is not None:
        return _node(number, "", (), ())
    if isinstance(x, _NEVER):
        raise TypeError(f"Value {op} {type(x).__name__}: {_refusal(x)}")
    return NotImplemented


def _comparable(x: Any) -> float | None:
    return x.data if isinstance(x, Value) else _as_number(x)


def _refusal(x: Any) -> str:
    shown = repr(x)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    given = f"expected {_ACCEPTED.removeprefix('a Value, ')}, got {type(x).__name__} {shown}"
    if isinstance(x, Value):
        return f"{given}: a Value holds a number, not another Value; use it as it is, or its .data"
    if isinstance(x, str):
        return f"{given}: convert it first, Value(float(text))"
    if hasattr(x, "__len__"):
        return f"{given}: one Value per element, [Value(x) for x in …]"
    return given
