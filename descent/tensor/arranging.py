"""Mirror, shift, repeat and mask the elements of a tensor; its diagonals and windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply, wrap
from descent.ops import arranging, movement
from descent.tensor.calling import in_place
from descent.tensor.common import axes, axis
from descent.tensor.gathering import index_select
from descent.tensor.shaping import reshape, sizes, transpose

__all__ = [
    "ArrangingMethods", "as_strided", "diag", "diag_embed", "diagflat", "diagonal", "flip",
    "fliplr", "flipud", "linalg_diagonal", "repeat", "repeat_interleave",
    "roll", "rot90", "tile", "tril", "triu", "unfold",
]  # fmt: skip


def flip(input: Any, *dims: Any, **named: Any) -> Any:
    """Reverse the order along axes."""
    chosen = axes(sizes(dims or (named["dims"],)), input.array.ndim)
    return apply(arranging.flip, input, dims=chosen)


def fliplr(input: Any) -> Any:
    """Reverse columns."""
    if input.array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """Reverse rows."""
    if input.array.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Shift along axes; what leaves at one end enters at the other."""
    if dims is None or dims == ():
        shift = shifts if isinstance(shifts, int) else _one(shifts)
        return apply(arranging.roll, input, shifts=shift, dims=None)
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {shifts}, dims: {dims}")
    at = tuple(axis(d, input.array.ndim) for d in dims)
    return apply(arranging.roll, input, shifts=shifts, dims=at)


def _one(shifts: Any) -> int:
    if len(shifts) != 1:
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims: 0")
    return int(shifts[0])


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turn a plane by k · 90°."""
    if len(tuple(dims)) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    a, b = (axis(d, input.array.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got {tuple(dims)}")
    k %= 4
    if k == 0:
        return apply(movement.clone, input)
    if k == 2:
        return flip(input, a, b)
    return transpose(flip(input, b), a, b) if k == 1 else flip(transpose(input, a, b), b)


def _matrix(input: Any, name: str) -> None:
    if input.array.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")


def tril(input: Any, diagonal: int = 0) -> Any:
    """Zero above the k-th diagonal of the last two axes."""
    _matrix(input, "tril")
    return apply(arranging.tril, input, diagonal=diagonal)


def triu(input: Any, diagonal: int = 0) -> Any:
    """Zero below the k-th diagonal of the last two axes."""
    _matrix(input, "triu")
    return apply(arranging.triu, input, diagonal=diagonal)


def repeat(input: Any, *repeats: Any) -> Any:
    """The whole tensor again and again along every axis (leading axes may be new)."""
    counts = sizes(repeats)
    if len(counts) < input.array.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor: {len(counts)} < {input.array.ndim}"
        )
    if any(n < 0 for n in counts):
        raise RuntimeError(f"Trying to create tensor with negative dimension: repeats {counts}")
    return apply(arranging.repeat, input, sizes=counts)


def tile(input: Any, *dims: Any) -> Any:
    """`repeat` that also takes fewer numbers than axes."""
    counts = sizes(dims)
    return repeat(input, (1,) * (input.array.ndim - len(counts)) + counts)


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Every element (slice of `dim`) `repeats` times in a row; `repeats` may differ for each."""
    if repeats is None:  # repeat_interleave(counts): 0 as often as counts[0] says, …
        counts = input.array
        return wrap(np.repeat(np.arange(len(counts)), counts))
    if dim is None:
        input, dim = reshape(input, -1), 0
    at = axis(dim, input.array.ndim)
    counts = repeats.array if isinstance(repeats, TensorBase) else np.asarray(repeats)
    n = input.array.shape[at] if input.array.ndim else 1
    if counts.ndim > 1 or counts.size not in (1, n):
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{counts.size} and input.size({at}) = {n}"
        )
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    which = np.repeat(np.arange(n), counts.reshape(-1) if counts.size == n else int(counts.item()))
    return index_select(input, at, wrap(which))


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The elements with equal positions on two axes, as a new last axis: a view."""
    a, b = axis(dim1, input.array.ndim), axis(dim2, input.array.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply(movement.diagonal, input, offset=offset, dim1=a, dim2=b)


def linalg_diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """`diagonal` of the last two axes: a view."""
    return diagonal(A, offset, dim1, dim2)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The last axis on a diagonal of two new axes, zero elsewhere."""
    nd = input.array.ndim + 1
    a, b = axis(dim1, nd), axis(dim2, nd)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply(arranging.diag_embed, input, offset=offset, dim1=a, dim2=b)


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with this diagonal."""
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.array.ndim}D")
    return apply(movement.clone, _diagonal(input, diagonal))


_diagonal = diagonal


def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix with all elements on a diagonal."""
    return diag_embed(reshape(input, -1), offset)


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` elements every `step` along an axis, as a new last axis: a view."""
    at = axis(dimension, input.array.ndim)
    if not input.array.ndim:
        input = reshape(input, 1)
        return input[:size] if size <= 1 else _too_wide(size, 1)
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if size > input.array.shape[at] or size < 0:
        _too_wide(size, input.array.shape[at])
    return apply(movement.unfold, input, dim=at, size=size, step=step)


def _too_wide(size: int, n: int) -> None:
    raise RuntimeError(f"maximum size for tensor at dimension is {n} but size is {size}")


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = 0) -> Any:
    """Any reading of a contiguous tensor's memory, by strides in elements."""
    size, stride, offset = tuple(size), tuple(stride), storage_offset or 0
    last = offset + sum((n - 1) * s for n, s in zip(size, stride)) if 0 not in size else 0
    if last >= max(input.array.size, 1) or offset < 0:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset} "
            f"reach element {last} of a tensor with {input.array.size}"
        )
    return apply(movement.as_strided, input, size=size, stride=stride, offset=offset)


class ArrangingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    flip, fliplr, flipud, roll, rot90 = flip, fliplr, flipud, roll, rot90
    tril, triu, repeat, tile, repeat_interleave = tril, triu, repeat, tile, repeat_interleave
    diagonal, diag, diag_embed, diagflat = diagonal, diag, diag_embed, diagflat
    unfold, as_strided = unfold, as_strided

    tril_, triu_ = in_place(tril), in_place(triu)
