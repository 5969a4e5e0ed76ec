"""`x[...]`: by integers, slices, None and Ellipsis (views), by index arrays and masks (copies).

PyTorch's rules, which differ from NumPy's in one point: an integer beside index arrays selects
first, so it does not count as an index array itself. An index of both kinds is therefore two steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply
from descent.ops import gathers, movement
from descent.tensor import inplace
from descent.tensor.common import as_tensor, cast, watch
from descent.tensor.shaping import expand

__all__ = ["IndexingMethods", "getitem", "plain", "setitem"]

_BASIC = (int, slice, type(None), type(Ellipsis))


def plain(index: Any) -> Any:
    """One index in NumPy's terms: an int, slice, None, Ellipsis or an array of int64 or bool.

    Raises:
        IndexError: for floating-point tensors and other things that are no index.
        TypeError: for strings.
    """
    kind = type(index)
    if kind is int or index is None or index is Ellipsis:
        return index
    if kind is slice:
        if index.step is not None and int(index.step) <= 0:
            raise ValueError(f"step must be greater than zero, got {index.step}; flip() reverses")
        if any(isinstance(v, TensorBase) for v in (index.start, index.stop, index.step)):
            return slice(
                *(v if v is None else int(v) for v in (index.start, index.stop, index.step))
            )
        return index
    if isinstance(index, TensorBase):
        return _array(index.array)
    if isinstance(index, (bool, np.bool_)):
        return np.asarray(bool(index))
    if hasattr(index, "__index__"):
        return index.__index__()
    if isinstance(index, (np.ndarray, Sequence)) and not isinstance(index, str):
        array = np.asarray(_unwrapped(index))
        return _array(array if array.size else array.astype(np.int64))
    raise (TypeError if kind is str else IndexError)(
        f"indices must be integers, slices, None, Ellipsis, or tensors of them, not {kind.__name__}"
    )


def _unwrapped(index: Any) -> Any:
    if isinstance(index, TensorBase):
        return index.array
    return [_unwrapped(i) for i in index] if isinstance(index, (list, tuple, range)) else index


def _array(a: np.ndarray) -> Any:
    if a.dtype.kind not in "iub":
        raise IndexError(
            f"tensors used as indices must be long, int, byte or bool tensors, not {a.dtype}"
        )
    if a.dtype == np.uint8:
        a = a.astype(np.bool_)  # bytes are masks, as they always were in PyTorch
    return int(a) if a.ndim == 0 and a.dtype != np.bool_ else a


def _is_basic(index: Any) -> bool:
    """Whether nothing needs translating: the common case."""
    if type(index) is tuple:
        return all(type(i) is int or i is None or i is Ellipsis or _forward(i) for i in index)
    return type(index) is int or index is None or index is Ellipsis or _forward(index)


def _forward(i: Any) -> bool:
    return (
        type(i) is slice
        and (i.step is None or (type(i.step) is int and i.step > 0))
        and ((i.start is None or type(i.start) is int) and (i.stop is None or type(i.stop) is int))
    )


def _view(input: Any, index: Any) -> Any:
    last = index[-1] if type(index) is tuple and index else index
    op = movement.select if type(last) is int else movement.slice_
    try:
        return apply(op, input, index=index)
    except IndexError as error:
        raise IndexError(f"{error}; the tensor has shape {tuple(input.array.shape)}") from None


def _two_steps(input: Any, index: Any) -> tuple[Any, Any]:
    """The view that the basic parts of an index make, and the rest: arrays or None for none."""
    if isinstance(index, TensorBase) and index.array.ndim and index.array.dtype == np.int64:
        if input.array.ndim:  # the common case
            return input, (index.array,)
    parts = [plain(i) for i in index] if isinstance(index, tuple) else [plain(index)]
    if not any(isinstance(p, np.ndarray) for p in parts):
        return _view(input, tuple(parts)), None
    parts = _spelled_out(parts, input.array.ndim)
    basic: tuple[Any, ...] = ()
    arrays: tuple[Any, ...] = ()
    for p in parts:
        if not isinstance(p, np.ndarray):
            basic += (p,)
            arrays += () if type(p) is int else (slice(None),)
        elif p.ndim:
            basic += (slice(None),) * (p.ndim if p.dtype == bool else 1)
            arrays += (p,)
        else:  # a 0-d mask: a new axis of one element, kept or not
            basic += (None,)
            arrays += (p.reshape(1),)
    if any(b != slice(None) for b in basic):
        input = _view(input, basic)
    while isinstance(arrays[-1], slice):
        arrays = arrays[:-1]
    return input, arrays


def _spelled_out(parts: list[Any], nd: int) -> list[Any]:
    """Ellipsis as the slices it stands for."""
    used = sum(
        p.ndim if isinstance(p, np.ndarray) and p.dtype == bool else 1
        for p in parts
        if p is not None and p is not Ellipsis
    )
    if Ellipsis in [p for p in parts if not isinstance(p, np.ndarray)]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (nd - used)
    if used > nd:
        raise IndexError(f"too many indices for tensor of dimension {nd}")
    return parts


def getitem(input: Any, index: Any) -> Any:
    """`input[index]`: a view for ints and slices, a copy for index arrays and masks."""
    if _is_basic(index):
        return _view(input, index)
    window, arrays = _two_steps(input, index)
    if arrays is None:
        return window
    _check_masks(window, arrays)
    y = apply(gathers.index, window, index=arrays)
    return watch(y, index)


def _check_masks(x: Any, arrays: tuple[Any, ...]) -> None:
    d = 0
    for a in arrays:
        if isinstance(a, np.ndarray) and a.dtype == bool:
            for k in range(a.ndim):
                if d + k >= x.array.ndim or a.shape[k] != x.array.shape[d + k]:
                    raise IndexError(
                        f"The shape of the mask {list(a.shape)} at index {k} does not match the "
                        f"shape of the indexed tensor {list(x.array.shape)} at index {d + k}"
                    )
            d += a.ndim
        else:
            d += 1


def setitem(input: Any, index: Any, value: Any) -> None:
    """`input[index] = value`, broadcast and cast."""
    if _is_basic(index):
        window, arrays = _view(input, index), None
    else:
        window, arrays = _two_steps(input, index)
    value = as_tensor(value)
    value = cast(value, input.array.dtype)
    if arrays is None:
        inplace.assign(window, _fitted(value, window.array.shape), fresh=True)
        return
    _check_masks(window, arrays)
    if not (window.requires_grad or value.requires_grad):
        _store(window, arrays, value)
        return
    try:
        y = apply(gathers.index_put, window, value, index=arrays)
    except ValueError as error:
        raise RuntimeError(f"shape mismatch: {error}") from None
    inplace.assign(window, watch(y, index))


def _store(window: Any, arrays: Any, value: Any) -> None:
    """The write without gradients: straight into memory."""
    inplace.check_writable(window)
    try:
        window.array[arrays] = value.array
    except ValueError as error:
        raise RuntimeError(f"shape mismatch: {error}") from None
    window.version[0] += 1


def _fitted(value: Any, shape: tuple[int, ...]) -> Any:
    """The value broadcast to the window; leading axes of size 1 may be dropped, as in PyTorch."""
    given = value.array.shape
    while len(given) > len(shape) and given[0] == 1:
        given = given[1:]
    if given != value.array.shape:
        value = apply(movement.view, value, shape=given)
    return value if given == shape else expand(value, shape)


class IndexingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    __getitem__, __setitem__ = getitem, setitem
