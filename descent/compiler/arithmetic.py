"""Arithmetic on shadows, noted: what NumPy would have computed becomes nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.compiler import forms
from descent.compiler.fuse import overlap
from descent.compiler.graph import Map, Reduce, View
from descent.compiler.memory import Memory
from descent.compiler.shadow import Shadow, Unsupported

__all__ = ["Arithmetic"]

Array = np.ndarray


class Arithmetic(Memory):
    """The part of a capture that stands in for NumPy."""

    note: Any

    def operand(self, x: Any) -> Any:
        """A View, or a number for constants of one element."""
        if isinstance(x, np.ndarray):
            if x.ndim == 0 and not isinstance(x, Shadow) and self._owner(x) is None:
                return x.item()
            return self.view(x)
        if isinstance(x, np.generic):
            return x.item()
        return x

    def map(self, fn: Any, shape: Any, dtype: Any, operands: Sequence[Any], metas: Any = ()) -> Any:
        """A new shadow: fn at every element of the operands, broadcast to `shape`."""
        y = self.temporary(shape, dtype)
        self.map_into(y, fn, operands, metas)
        return y

    def map_into(self, y: Any, fn: Any, operands: Sequence[Any], metas: Any = ()) -> None:
        """fn at every element, into existing memory."""
        if not y.size:
            return
        views = []
        target = self.view(y)
        for x in operands:
            o = self.operand(x)
            if isinstance(o, View) and overlap(o, target) and not _in_step(x, y):
                x = self.copied(x)  # x[1:] = x[:-1]: an element read after another was written
                o = self.operand(x)
            if isinstance(o, View):
                strides = np.broadcast_to(
                    x.view(np.ndarray) if isinstance(x, np.ndarray) else x, y.shape
                ).strides
                o = View(o.buffer, o.offset, y.shape, tuple(s // o.dtype.itemsize for s in strides))
            views.append(o)
        self.note(Map(fn, target, views, list(metas)))

    def ufunc(self, ufunc: Any, method: str, inputs: Any, kwargs: dict[str, Any]) -> Any:
        """What a shadow does when NumPy calls it: note the arithmetic."""
        out = kwargs.pop("out", (None,))[0]
        if method == "reduce":
            return self._reduce(ufunc, inputs[0], kwargs, out)
        fn = forms.UFUNCS.get(ufunc)
        known = {k: v for k, v in kwargs.items() if k not in ("dtype", "casting", "subok")}
        if method != "__call__" or fn is None or known:
            raise Unsupported(f"NumPy's {ufunc.__name__}.{method} on the numbers of a tensor")
        shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
        probe = [
            np.empty((0,) * x.ndim, x.dtype)
            if isinstance(x, np.ndarray) and x.ndim
            else (np.ones((), x.dtype) if isinstance(x, np.ndarray) else x)
            for x in inputs
        ]
        dtype = kwargs.get("dtype") or ufunc(*probe).dtype
        if out is None:
            return self.map(fn, shape, dtype, inputs)
        if not isinstance(out, Shadow):
            raise Unsupported("arithmetic into an array that is no tensor of the step")
        self.map_into(out, fn, inputs)
        return out

    def _reduce(self, ufunc: Any, x: Shadow, kwargs: dict[str, Any], out: Any) -> Any:
        kinds = {np.add: "sum", np.maximum: "max"}
        if kwargs.get("initial", np._NoValue) is not np._NoValue:
            raise Unsupported(f"NumPy's {ufunc.__name__}.reduce with an initial number")
        if ufunc is np.minimum and x.dtype.kind in "fi":  # min x = −max −x
            return np.negative(np.maximum.reduce(np.negative(x), **kwargs))
        if ufunc is np.logical_or:
            return np.greater(np.add.reduce(np.not_equal(x, 0), **kwargs), 0)
        if ufunc is np.logical_and:
            return np.equal(np.add.reduce(np.equal(x, 0), **kwargs), 0)
        if ufunc not in kinds or out is not None or kwargs.get("where", True) is not True:
            raise Unsupported(f"NumPy's {ufunc.__name__}.reduce on the numbers of a tensor")
        axis, keepdims = kwargs.get("axis", 0), kwargs.get("keepdims", False)
        axes = (
            tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        )
        axes = tuple(a % x.ndim for a in axes)
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        probe = ufunc.reduce(np.ones((1,) * x.ndim, x.dtype), axis=None)
        dtype = kwargs.get("dtype") or probe.dtype
        if dtype != x.dtype:
            x = self.cast(x, dtype)
        y = self.temporary([x.shape[a] for a in kept], dtype)
        self.reduce_into(y, np.ndarray.transpose(x, kept + axes), len(kept), kind=kinds[ufunc])
        if keepdims:
            return y.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])
        return y

    def reduce_into(self, y: Any, x: Any, kept: int, scale: float = 1.0, kind: str = "sum") -> None:
        """y = scale · Σ x over all axes after the first `kept`."""
        if any(s < 0 for s in x.strides):
            x = self.copied(x)
        self.note(Reduce(self.view(x), self.view(y), kept, scale, kind))

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        shape = np.broadcast_shapes(*(np.shape(v) for v in (condition, a, b)))
        kinds = [v.dtype if isinstance(v, np.ndarray) else v for v in (a, b)]
        return self.map(forms.where, shape, np.result_type(*kinds), (condition, a, b))

    def copied(self, x: Shadow) -> Shadow:
        """The same elements, row-major, in memory of their own."""
        return self.map(forms.same, x.shape, x.dtype, (x,))

    def cast(self, x: Shadow, dtype: np.dtype) -> Shadow:
        return self.map(forms.same, x.shape, dtype, (x,))

    def write(self, target: Any, value: Any) -> None:
        """target[...] = value."""
        if not isinstance(target, Shadow):
            raise Unsupported("a change in place of an array that is no tensor of the step")
        self.map_into(target, forms.same, (value,))


def _in_step(x: Any, y: Any) -> bool:
    """Whether element i of x, broadcast to y, is element i of y, and no other's place."""
    x, y = x.view(np.ndarray), y.view(np.ndarray)
    if x.shape != y.shape or x.__array_interface__["data"] != y.__array_interface__["data"]:
        return False
    return all(n == 1 or s == t for n, s, t in zip(x.shape, x.strides, y.strides))
