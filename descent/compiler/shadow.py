"""Arrays without numbers: what a step's tensors hold while it is captured.

A `Shadow` is a NumPy array over memory that is reserved but never read. Shapes, strides, dtypes and
views are real, so every function that only moves axes about (a reshape, an op's lowering) runs on
it as it stands. What would read numbers does not: arithmetic is noted as a node of the graph, a
copying reshape is noted as a copy, and anything else raises `Unsupported`, which names it; the step
then runs as ordinary Python instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Shadow", "Unsupported", "current", "set_current"]


class Unsupported(Exception):
    """Something a captured step can't contain; the message says what."""


class _Current:
    capture: Any = None


def current() -> Any:
    """The capture that owns the shadows."""
    if _Current.capture is None:
        raise Unsupported("an array of a captured step was used after the capture")
    return _Current.capture


def set_current(capture: Any) -> None:
    _Current.capture = capture


_SAFE_FUNCTIONS = {
    np.may_share_memory, np.shares_memory, np.broadcast_to, np.shape, np.ndim, np.size,
    np.result_type, np.lib.stride_tricks.as_strided, np.lib.stride_tricks.sliding_window_view,
    np.broadcast_arrays, np.transpose, np.moveaxis, np.swapaxes, np.expand_dims, np.squeeze,
    np.diagonal, np.can_cast, np.iscomplexobj, np.isrealobj, np.atleast_1d, np.atleast_2d, np.flip,
    np.split, np.array_split, np.stack, np.tril, np.triu, np.roll,
}  # fmt: skip
_SUBOK = {
    np.broadcast_to, np.lib.stride_tricks.as_strided, np.lib.stride_tricks.sliding_window_view,
    np.broadcast_arrays,
}  # fmt: skip
_LIKE = {np.zeros_like: 0, np.ones_like: 1, np.full_like: None, np.empty_like: None}


def _like(func: Any, x: Any, fill_value: Any = None, dtype: Any = None, *rest: Any, **more: Any):
    if func is not np.full_like and fill_value is not None:  # the second place is the dtype's
        fill_value, dtype = None, fill_value
    y = current().temporary(more.get("shape") or x.shape, dtype or x.dtype)
    number = _LIKE[func] if func is not np.full_like else fill_value
    if number is not None:
        current().write(y, number)
    return y


def _joined(arrays: Any, axis: int = 0, **rest: Any) -> Any:
    """np.concatenate: each array written to its place."""
    shape = list(arrays[0].shape)
    axis %= len(shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    y = current().temporary(shape, np.result_type(*(a.dtype for a in arrays)))
    start = 0
    for a in arrays:
        window = (slice(None),) * axis + (slice(start, start + a.shape[axis]),)
        if a.size:
            current().write(y[window], a)
        start += a.shape[axis]
    return y


def _padded(x: Any, widths: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """np.pad with one number."""
    if mode != "constant" or not isinstance(constant_values, (int, float)):
        raise Unsupported(f"np.pad in mode {mode!r}")
    y = current().temporary([a + n + b for (a, b), n in zip(widths, x.shape)], x.dtype)
    current().write(y, constant_values)
    current().write(y[tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape))], x)
    return y


def _tiled(x: Any, sizes: Any) -> Any:
    """np.tile: the array again and again along every axis."""
    sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    full = (1,) * (len(sizes) - x.ndim) + x.shape
    sizes = (1,) * (len(full) - len(sizes)) + sizes
    wide = x.reshape([n for size in full for n in (1, size)])
    shape = tuple(n for pair in zip(sizes, full) for n in pair)
    return np.broadcast_to(wide, shape, subok=True).reshape([a * b for a, b in zip(sizes, full)])


def _taken_along(x: Any, index: Any, axis: int) -> Any:
    """np.take_along_axis: places that the data decides, on one axis."""
    at = [np.arange(n).reshape([-1 if d == e else 1 for e in range(x.ndim)])
          for d, n in enumerate(index.shape)]  # fmt: skip
    at[axis % x.ndim] = index
    x = x if isinstance(x, Shadow) else current().place(x)
    return current().indexed(x, tuple(at))


class Shadow(np.ndarray):
    """See the module docstring."""

    abstract = True

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return current().ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.copyto:
            return current().write(args[0], args[1])
        if func in _LIKE:
            return _like(func, *args, **kwargs)
        if func is np.concatenate:
            return _joined(*args, **kwargs)
        if func is np.pad:
            return _padded(*args, **kwargs)
        if func is np.tile:
            return _tiled(*args, **kwargs)
        if func is np.take_along_axis:
            return _taken_along(*args, **kwargs)
        if func is np.reshape:
            return args[0].reshape(*args[1:])
        if func is np.ascontiguousarray:
            return args[0] if args[0].flags.c_contiguous else current().copied(args[0])
        if func is np.where and len(args) == 3:
            return current().where(*args)
        if func in _SUBOK:
            kwargs = {**kwargs, "subok": True}
        if func in _SAFE_FUNCTIONS:
            return super().__array_function__(func, types, args, kwargs)
        raise Unsupported(f"NumPy's {func.__name__} on the numbers of a tensor")

    # -- what may copy ---------------------------------------------------------------------------

    def reshape(self, *shape: Any, order: Any = "C") -> Any:  # type: ignore[override]
        shape = (
            shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        )
        if order != "C":
            raise Unsupported(f"reshape in order {order!r}")
        y = np.ndarray.reshape(self, shape)
        if self.size and not np.may_share_memory(self.view(np.ndarray), y.view(np.ndarray)):
            return np.ndarray.reshape(current().copied(self), shape)
        return y

    def ravel(self, order: Any = "C") -> Any:
        return self.reshape((-1,))

    def flatten(self, order: Any = "C") -> Any:
        return current().copied(self).reshape((-1,))

    def copy(self, order: Any = "C") -> Any:
        return current().copied(self)

    def astype(self, dtype: Any, *args: Any, copy: bool = True, **kwargs: Any) -> Any:
        if np.dtype(dtype) == self.dtype and not copy:
            return self
        return current().cast(self, np.dtype(dtype))

    def __getitem__(self, index: Any) -> Any:
        if _basic(index):
            y = np.ndarray.__getitem__(self, index if isinstance(index, tuple) else (index, ...))
            return y
        return current().indexed(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        if not _basic(index):
            raise Unsupported("writing to places that the data decides")
        window = np.ndarray.__getitem__(
            self, (*index, ...) if isinstance(index, tuple) and Ellipsis not in index else index
        )
        current().write(window, value)

    def fill(self, value: Any) -> None:
        current().write(self, value)

    def squeeze(self, axis: Any = None) -> Any:
        return np.ndarray.squeeze(self, axis)


def _basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        p is None or p is Ellipsis or isinstance(p, (int, np.integer, slice)) for p in parts
    ) and not any(isinstance(p, (bool, np.bool_)) for p in parts)


def _refuse(name: str) -> Any:
    def method(self: Shadow, *args: Any, **kwargs: Any) -> Any:
        raise Unsupported(
            f"reading the numbers of a tensor inside the step ({name.strip('_')}): what Python "
            "does with them can't be part of a compiled step; return the tensor and read it outside"
        )

    method.__name__ = name
    return method


for _name in (
    "item", "numpy", "tolist", "tobytes", "dump", "dumps", "tofile", "argmax", "argmin", "argsort",
    "sort",
    "argpartition", "partition", "nonzero", "choose", "take", "put", "repeat", "searchsorted",
    "compress", "cumsum", "cumprod", "dot", "trace", "round", "std", "var", "byteswap",
    "__bool__", "__int__", "__float__", "__index__", "__complex__", "__contains__", "__iter__",
    "__hash__", "__str__", "__repr__",
):  # fmt: skip
    setattr(Shadow, _name, _refuse(_name))
Shadow.__repr__ = lambda self: f"<shadow {self.dtype.name}{list(self.shape)}>"  # type: ignore
