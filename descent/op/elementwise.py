"""Elementwise ops: two scalar functions, the value and the derivative.

    @elementwise
    def tanh(x):
        return np.tanh(x)
    @tanh.grad
    def _(y, dy):
        return dy * (1 - y * y)

The scalar function is what `Value` calls on floats. Where it has no branches it works on whole
arrays as it stands and is its own NumPy rung; otherwise `@tanh.numpy` gives that form. Compiled, it
broadcasts like a NumPy ufunc. Parameters without a default are inputs (they broadcast against each
other), those with a default are metas. Binary ops state one derivative per input: `@mul.grad("a")`.
A derivative's parameters are named: inputs, `y`, `dy`, metas.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from descent.kernel import compiling, vectorized
from descent.op.expand import subscript
from descent.op.quiet import hush, restore
from descent.scalar import Value

__all__ = ["Elementwise", "elementwise", "sum_to"]

Array = np.ndarray


def sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes that broadcasting stretched, down to `shape`."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1
    )
    return g.sum(axes, keepdims=True).reshape(shape) if axes else g.reshape(shape)


class Derivative:
    """A derivative with respect to one input: the scalar function and its whole-array form."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.scalar = fn
        self.arrays = fn  # the NumPy form; replaced by `numpy`
        self.names = tuple(inspect.signature(fn).parameters)

    def numpy(self, fn: Callable[..., Any]) -> Derivative:
        """Decorator: the whole-array form, when the scalar one has branches."""
        self.arrays = fn
        return self


class Saved(NamedTuple):
    known: dict[str, Any]
    inputs: list[tuple[tuple[int, ...], np.dtype]]


class Elementwise:
    """An elementwise op; `forward`, `backward` and `explain` have the contract of `Op`."""

    is_view = False
    visible = 1
    outputs = ("y",)

    def __init__(self, fn: Callable[..., Any], *, out: Any = None, opaque: bool = False) -> None:
        self.scalar = fn
        self.arrays: Callable[..., Any] = fn
        self.name = fn.__name__.rstrip("_")
        self.doc = inspect.getdoc(fn) or ""
        parameters = inspect.signature(fn).parameters.values()
        self.inputs = tuple(p.name for p in parameters if p.default is p.empty)
        self.metas = tuple(p.name for p in parameters if p.default is not p.empty)
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.out_dtype = np.dtype(out) if out is not None else None
        self.derivatives: dict[str, Derivative] = {}
        self.opaque = opaque
        self._plans: dict[tuple[bool, ...], tuple[list[int], bool]] = {}

    def numpy(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the whole-array form, when the scalar function has branches."""
        self.arrays = fn
        return fn

    def grad(self, target: Any) -> Any:
        """Decorator, `@f.grad` for the first input or `@f.grad("b")` for a named one."""
        if isinstance(target, str):

            def register(fn: Callable[..., Any]) -> Derivative:
                self.derivatives[target] = Derivative(fn)
                self._plans.clear()
                return self.derivatives[target]

            return register
        return self.grad(self.inputs[0])(target)

    @functools.cached_property
    def compiled(self) -> Callable[..., Any]:
        """The scalar function compiled to broadcast over arrays."""
        return vectorized(self.scalar)

    def saved_inputs(self, needs: Sequence[bool]) -> list[int]:
        """Indices of the inputs that the backward pass reads."""
        return self._plan(needs)[0]

    def saves_output(self, needs: Sequence[bool]) -> bool:
        """Whether the backward pass reads `y`."""
        return self._plan(needs)[1]

    def _plan(self, needs: Sequence[bool]) -> tuple[list[int], bool]:
        key = tuple(needs)
        plan = self._plans.get(key)
        if plan is None:
            wanted = [self.derivatives.get(n) for n, need in zip(self.inputs, needs) if need]
            reads = {n for d in wanted if d is not None for n in d.names}
            saved = [i for i, n in enumerate(self.inputs) if n in reads]
            plan = self._plans[key] = (saved, "y" in reads)
        return plan

    def forward(
        self, arrays: Sequence[Array], meta: dict[str, Any], needs: Sequence[bool] | None = None
    ) -> tuple[tuple[Array], Saved | None]:
        """`y` (broadcast shape) and what backward needs; see `Op.forward`."""
        metas = [meta.get(m, d) for m, d in self.defaults.items()] if self.metas else ()
        before = hush()
        try:
            y = self.arrays(*arrays, *metas)
        finally:
            restore(before)
        if type(y) is not np.ndarray:
            y = np.asarray(y)
        if self.out_dtype is not None and y.dtype != self.out_dtype:
            y = y.astype(self.out_dtype)
        if needs is None:
            return (y,), None
        saved, keeps_y = self._plan(needs)
        known = {self.inputs[i]: arrays[i] for i in saved} if saved else {}
        if metas:
            known.update(zip(self.metas, metas))
        if keeps_y:
            known["y"] = y
        return (y,), Saved(known, [(a.shape, a.dtype) for a in arrays])

    def backward(self, ctx: Saved, dy: Array, needs: Sequence[bool]) -> list[Array | None]:
        """The gradient of every input that needs one, summed over broadcast axes."""
        known = ctx.known
        grads: list[Array | None] = []
        for name, need, (shape, dtype) in zip(self.inputs, needs, ctx.inputs):
            if not need:
                grads.append(None)
                continue
            d = self.derivatives.get(name) or self._derivative(name)
            g = d.arrays(*[dy if n == "dy" else known[n] for n in d.names])
            if type(g) is not np.ndarray:
                g = np.asarray(g)
            if g.dtype != dtype:
                g = g.astype(dtype)
            if g.shape != dy.shape:  # the derivative read only smaller operands
                g = np.broadcast_to(g, dy.shape)
            if g.shape != shape:
                g = sum_to(g, shape)
            grads.append(g)
        return grads

    def _derivative(self, name: str) -> Derivative:
        if name in self.derivatives:
            return self.derivatives[name]
        raise RuntimeError(
            f"the derivative of {self.name} with respect to {name} is not implemented; "
            f"detach() that input first"
        )

    def explain(
        self,
        arrays: Sequence[Array],
        index: tuple[int, ...],
        meta: dict[str, Any],
        output: int = 0,
    ) -> Value:
        """The scalar graph of `y[index]`: the scalar function on labelled `Value`s.

        An op without derivatives, or an opaque one (which looks at the bits of its numbers),
        has no chain rule to show: its graph is the number alone.
        """
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        values: list[Any] = []
        for name, a in zip(self.inputs, arrays):
            flat = int(np.broadcast_to(np.arange(a.size).reshape(a.shape), shape)[tuple(index)])
            number = a.reshape(-1)[flat]
            if a.dtype.kind == "f" and self.derivatives and not self.opaque:
                number = Value(float(number), label=subscript(name, flat, a.shape))
            values.append(number)
        metas = [meta.get(m, self.defaults[m]) for m in self.metas]
        y = self.scalar(*values, *metas)
        if isinstance(y, Value):
            return y
        read = [v for v in values if isinstance(v, Value)]  # a flat piece: a constant, slope 0
        return Value(float(y), read, self.name if read else "", local=[0.0] * len(read))

    def run_compiled(self, arrays: Sequence[Array], meta: dict[str, Any]) -> Array:
        """The compiled rung (or the scalar function under `DESCENT_COMPILE=0`)."""
        if not compiling():
            return self.run_python(arrays, meta)
        metas = [meta.get(m, self.defaults[m]) for m in self.metas]
        y = np.asarray(self.compiled(*arrays, *metas))
        return y.astype(self._result_dtype(arrays), copy=False)

    def run_python(self, arrays: Sequence[Array], meta: dict[str, Any]) -> Array:
        """The scalar function as written, element by element: the oracle of the other rungs."""
        metas = [meta.get(m, self.defaults[m]) for m in self.metas]
        spread = np.broadcast_arrays(*arrays)
        y = np.empty(spread[0].shape, self._result_dtype(arrays))
        with np.errstate(all="ignore"):
            for at in np.ndindex(y.shape):
                y[at] = self.scalar(*(a[at] for a in spread), *metas)
        return y

    def _result_dtype(self, arrays: Sequence[Array]) -> np.dtype:
        numbers = [a for a in arrays if a.dtype.kind != "b"]  # a condition has no say
        return self.out_dtype or np.result_type(*(numbers or arrays))

    def source(self) -> str:
        """The scalar function and its derivatives as written."""
        parts = [self.scalar, *(d.scalar for d in self.derivatives.values())]
        return "\n".join(inspect.getsource(p) for p in parts)

    def __repr__(self) -> str:
        return f"<elementwise op {self.name}({', '.join(self.inputs + self.metas)})>"


def elementwise(fn: Any = None, *, out: Any = None, opaque: bool = False) -> Any:
    """Decorator: declare an elementwise op.

    Args:
        out: the dtype of the result (comparisons).
        opaque: it cannot be run on `Value`s.
    """
    if fn is None:
        return lambda f: Elementwise(f, out=out, opaque=opaque)
    return Elementwise(fn, out=out, opaque=opaque)
