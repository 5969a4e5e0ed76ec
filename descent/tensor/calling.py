"""Make tensor functions from elementwise ops: promotion in front, documentation from the op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from descent.autograd import TensorBase, apply
from descent.op import Elementwise
from descent.tensor.common import operands
from descent.tensor.inplace import rewrite

__all__ = ["binary", "in_place", "need_kind", "need_tensor", "reflected", "unary"]

Function = Callable[..., Any]


def need_tensor(x: Any, name: str, argument: str = "input") -> Any:
    """`x` itself when it is a tensor, else a TypeError that says what was given."""
    if isinstance(x, TensorBase):
        return x
    raise TypeError(
        f"{name}(): argument '{argument}' must be Tensor, not {type(x).__name__}; "
        "make one with tensor(...)"
    )


def _described(function: Function, op: Elementwise, name: str | None) -> Function:
    function.__name__ = function.__qualname__ = name or op.name
    function.__doc__ = op.doc
    return function


def need_kind(x: Any, name: str, kinds: str) -> None:
    """Refuse dtypes whose kind ("b" booleans, "iu" integers, "f" floats) is not among `kinds`."""
    if x.array.dtype.kind not in kinds:
        allowed = [word for kind, word in _KINDS.items() if kind in kinds]
        raise NotImplementedError(
            f'"{name}" is not implemented for {x.array.dtype}; it takes {" and ".join(allowed)}'
        )


_KINDS = {"b": "booleans", "i": "integers", "f": "floating-point numbers"}


def unary(
    op: Elementwise, *, floating: bool = False, kinds: str = "", name: str | None = None
) -> Function:
    """`f(input)`; `floating` lifts integers and booleans to the default float."""

    def function(input: Any) -> Any:
        need_tensor(input, function.__name__)
        if kinds:
            need_kind(input, function.__name__, kinds)
        return apply(op, *operands(input, floating=floating))

    return _described(function, op, name)


def binary(
    op: Elementwise, *, floating: bool = False, kinds: str = "", name: str | None = None
) -> Function:
    """`f(input, other)` on tensors and numbers of any types, brought to their common type."""

    def function(input: Any, other: Any) -> Any:
        a, b = operands(input, other, floating=floating)
        if kinds:
            need_kind(a, function.__name__, kinds)
        return apply(op, a, b)

    return _described(function, op, name)


def in_place(function: Function) -> Function:
    """The method `f_` that writes `f(self, …)` into the tensor's own memory."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return rewrite(self, function, *args, **kwargs)

    method.__name__ = method.__qualname__ = f"{function.__name__}_"
    method.__doc__ = f"`{function.__name__}` into this tensor's memory."
    return method


def reflected(function: Function) -> Function:
    """The method for `other ∘ tensor`."""

    def method(self: Any, other: Any) -> Any:
        return function(other, self)

    method.__name__ = method.__qualname__ = f"reflected_{function.__name__}"
    return method
