"""What every family of tensor functions uses: make operands tensors, promote, check axes."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply, wrap
from descent.dtypes import promote
from descent.op.expand import subscript
from descent.scalar import Value

__all__ = ["as_tensor", "axis", "axes", "cast", "operands", "watch"]


class _Cast:
    """Cast as an op: its gradient has the dtype of its input."""

    name, inputs, outputs, visible, is_view = "to_copy", ("x",), ("y",), 1, False
    doc = "The same numbers in another dtype."

    def saved_inputs(self, needs: Any) -> list[int]:
        return []

    def saves_output(self, needs: Any) -> bool:
        return False

    def forward(self, arrays: Any, meta: dict[str, Any], needs: Any = None) -> Any:
        with np.errstate(all="ignore"):
            return (arrays[0].astype(meta["dtype"]),), arrays[0].dtype

    def backward(self, ctx: Any, dy: np.ndarray, needs: Any) -> list[np.ndarray]:
        return [dy.astype(ctx)]

    def explain(self, arrays: Any, index: Any, meta: Any, output: int = 0) -> Any:
        flat = int(np.ravel_multi_index(tuple(index), arrays[0].shape)) if index else 0
        number = float(arrays[0].reshape(-1)[flat])
        return Value(number, label=subscript("x", flat, arrays[0].shape))

    def source(self) -> str:
        return inspect.getsource(_Cast.forward)


_cast = _Cast()


def cast(x: Any, dtype: np.dtype) -> Any:
    """`x` in another NumPy dtype; itself when it has it already."""
    return x if x.array.dtype == dtype else apply(_cast, x, dtype=dtype)


def as_tensor(x: Any, dtype: Any = None) -> Any:
    """A tensor from a tensor, array or number (an array is shared, not copied)."""
    if isinstance(x, TensorBase):
        return x
    return wrap(np.asarray(x, dtype=dtype))


def operands(*xs: Any, floating: bool = False) -> list[Any]:
    """Tensors of one common dtype, by PyTorch's promotion; `floating` lifts integers to floats."""
    if len(xs) == 2 and (pair := _easy_pair(*xs, floating)) is not None:
        return pair
    raw = [x.array if isinstance(x, TensorBase) else x for x in xs]
    for x in raw:
        if not isinstance(x, (np.ndarray, bool, int, float, np.number, np.bool_)):
            raise TypeError(f"expected a tensor or a number, got {type(x).__name__}: {x!r}")
    d = promote(*raw)
    if floating and d.kind != "f":
        d = promote(1.0)
    return [cast(x, d) if isinstance(x, TensorBase) else wrap(_number(x, d)) for x in xs]


def _easy_pair(a: Any, b: Any, floating: bool) -> list[Any] | None:
    """The common cases, without looking far: one dtype, or floats beside a Python number."""
    if isinstance(a, TensorBase):
        d = a.array.dtype
        if isinstance(b, TensorBase):
            return [a, b] if b.array.dtype == d and (not floating or d.kind == "f") else None
        if d.kind == "f" and (type(b) is float or type(b) is int):
            return [a, wrap(_number(b, d))]
    elif isinstance(b, TensorBase) and (type(a) is float or type(a) is int):
        d = b.array.dtype
        if d.kind == "f":
            return [wrap(_number(a, d)), b]
    return None


def _number(x: Any, dtype: np.dtype) -> np.ndarray:
    """A 0-d array; an integer too large for the dtype wraps around, as in C and PyTorch."""
    try:
        return np.asarray(x, dtype)
    except OverflowError:
        return np.asarray(x).astype(dtype)


def axis(dim: int, nd: int) -> int:
    """A non-negative axis number.

    Raises:
        IndexError: as PyTorch words it.
    """
    n = max(nd, 1)
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return dim % n


def axes(dim: Any, nd: int) -> tuple[int, ...] | None:
    """Non-negative axis numbers from an int, a sequence, or None for all."""
    if dim is None:
        return None
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    found = tuple(axis(d, nd) for d in dims)
    if len(set(found)) != len(found):
        raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return found


def watch(y: Any, *used: Any) -> Any:
    """Make the backward pass of `y` fail when one of the tensors `used` has changed by then.

    For tensors that an op gets as plain arrays (indices, masks). Tuples are searched. Returns y.
    """
    if y.node is not None:
        for t in used:
            if isinstance(t, tuple):
                watch(y, *t)
            elif isinstance(t, TensorBase):
                y.node.saved.append((t.version, t.version[0], "an index"))
    return y
