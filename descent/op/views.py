"""Movement ops: no arithmetic, each output element is a copy of one input element (or a constant).

    @movement
    def permute(x, dims): return x.transpose(dims)
    @permute.grad
    def _(dy, shape, dims): return dy.transpose(np.argsort(dims))

The forward function must work on arrays of any dtype: run on an array of positions it tells which
input element stands where, and that is the explanation. `@movement(view=True)` marks results that
share memory with the input (the autograd layer then tracks in-place changes through them).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from descent.op.expand import subscript
from descent.scalar import Value

__all__ = ["Movement", "movement"]

Array = np.ndarray


Moved = tuple[Any, dict[str, Any]]  # the shape of the input (shapes, with many), the metas


class Movement:
    """A movement op. `grad(dy, shape(s), metas...)` returns the gradient(s).

    Functions with one array input take `(x, metas...)` and their gradient `(dy, shape, metas...)`;
    with `many=True` they take a list of arrays and their gradient gets the list of shapes and
    returns a list.
    """

    visible = 1
    outputs = ("y",)

    def __init__(self, fn: Callable[..., Any], *, view: bool = False, many: bool = False) -> None:
        self.fn = fn
        self.name = fn.__name__.rstrip("_")
        self.doc = inspect.getdoc(fn) or ""
        self.is_view = view
        self.many = many
        names = list(inspect.signature(fn).parameters)
        self.inputs, self.metas = (names[0],), tuple(names[1:])
        self.gradient: Callable[..., Any] | None = None
        self.adding: Callable[..., None] | None = None

    def grad(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the gradient, itself a movement (or a sum where elements were repeated)."""
        self.gradient = fn
        return fn

    def adds(self, fn: Callable[..., None]) -> Callable[..., None]:
        """Decorator: `(dx, dy, metas...)` adds the gradient into dx, where most of it is zero.

        The pieces of a split array then fill one gradient instead of making one each.
        """
        self.adding = fn
        return fn

    def named(self, name: str) -> Movement:
        """The same op under another name (`view`, `squeeze` and `flatten` are all `reshape`)."""
        other = copy.copy(self)
        other.name = name
        return other

    def run(self, arrays: Sequence[Array], meta: dict[str, Any]) -> Array:
        """The moved array."""
        metas = [meta[m] for m in self.metas]
        return self.fn(list(arrays), *metas) if self.many else self.fn(arrays[0], *metas)

    def saved_inputs(self, needs: Sequence[bool]) -> list[int]:
        return []

    def saves_output(self, needs: Sequence[bool]) -> bool:
        return False

    def forward(
        self, arrays: Sequence[Array], meta: dict[str, Any], needs: Sequence[bool] | None = None
    ) -> tuple[tuple[Array], Moved | None]:
        """The moved array and what backward needs; see `Op.forward`."""
        y = self.fn(list(arrays), **meta) if self.many else self.fn(arrays[0], **meta)
        if needs is None:
            return (y,), None
        return (y,), (([a.shape for a in arrays] if self.many else arrays[0].shape), meta)

    def backward(self, ctx: Any, dy: Array, needs: Sequence[bool]) -> list[Array | None]:
        """The gradient of every input."""
        if self.gradient is None:
            raise RuntimeError(f"{self.name} has no gradient")
        found = self.gradient(dy, ctx[0], *[ctx[1][m] for m in self.metas])
        return list(found) if self.many else [found]

    def add_gradient(self, ctx: Any, dy: Array, dx: Array) -> None:
        """The gradient of the input, added into `dx`, by the function given to `adds`."""
        assert self.adding is not None
        self.adding(dx, dy, *[ctx[1][m] for m in self.metas])

    def explain(
        self,
        arrays: Sequence[Array],
        index: tuple[int, ...],
        meta: dict[str, Any],
        output: int = 0,
    ) -> Value:
        """A copy of the input element that stands at `index` (0 where nothing was copied)."""
        starts = np.cumsum([1, *(a.size for a in arrays)])  # 0 stands for "no element"
        ids = [s + np.arange(a.size).reshape(a.shape) for s, a in zip(starts, arrays)]
        position = int(self.run(ids, meta)[tuple(index)])
        if position == 0:
            return Value(float(self.run(arrays, meta)[tuple(index)]))
        which = int(np.searchsorted(starts, position, side="right")) - 1
        flat, source = position - int(starts[which]), arrays[which]
        name = f"{self.inputs[0]}{which}" if self.many else self.inputs[0]
        return Value(float(source.reshape(-1)[flat]), label=subscript(name, flat, source.shape))

    def source(self) -> str:
        """The forward function and its gradient as written."""
        parts = [self.fn, *([self.gradient] if self.gradient else [])]
        return "\n".join(inspect.getsource(p) for p in parts)

    def __repr__(self) -> str:
        return f"<movement op {self.name}({', '.join(self.inputs + self.metas)})>"


def movement(fn: Any = None, *, view: bool = False, many: bool = False) -> Any:
    """Decorator: declare a movement op."""
    if fn is None:
        return lambda f: Movement(f, view=view, many=many)
    return Movement(fn, view=view, many=many)
