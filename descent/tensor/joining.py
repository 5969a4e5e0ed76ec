"""Join tensors and take them apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply
from descent.dtypes import promote
from descent.ops import arranging
from descent.tensor.common import axis, cast
from descent.tensor.indexing import getitem
from descent.tensor.shaping import reshape

__all__ = [
    "JoiningMethods", "atleast_1d", "atleast_2d", "atleast_3d", "cat", "chunk", "column_stack",
    "concat", "concatenate", "dsplit", "dstack", "hsplit", "hstack", "split", "split_with_sizes",
    "stack", "tensor_split", "unbind", "vsplit", "vstack",
]  # fmt: skip


def _same_dtype(tensors: Any, name: str) -> list[Any]:
    """The tensors of a list in their common dtype."""
    if not isinstance(tensors, Sequence):
        tensors = list(tensors)
    for i, t in enumerate(tensors):
        if not isinstance(t, TensorBase):
            raise TypeError(
                f"{name}(): expected a list of tensors, got {type(t).__name__} at position {i}"
            )
    if not tensors:
        kind = ValueError if name == "cat" else RuntimeError
        raise kind(f"{name}(): expected a non-empty list of tensors")
    d = tensors[0].array.dtype
    if all(t.array.dtype == d for t in tensors):
        return list(tensors)
    d = promote(*(t.array for t in tensors))
    return [cast(t, d) for t in tensors]


def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Tensors one after the other along an axis; the other axes must agree.

    Raises:
        RuntimeError: naming the tensor whose shape does not fit.
    """
    dim = dim if axis is None else axis
    found = _same_dtype(tensors, "cat")
    full = [t for t in found if t.array.shape != (0,)]  # PyTorch skips 1-D empty tensors
    if not full:
        return apply(arranging.cat, *found, dim=_axis(dim, 1))
    at, first = _axis(dim, full[0].array.ndim), full[0].array.shape
    for i, t in enumerate(full):
        shape = t.array.shape
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        if shape[:at] != first[:at] or shape[at + 1 :] != first[at + 1 :]:
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {at}. Expected shape "
                f"{list(first)}, but tensor number {i} in the list has shape {list(shape)}"
            )
    return apply(arranging.cat, *full, dim=at)


_axis = axis
concat = concatenate = cat


def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape side by side along a new axis."""
    found = _same_dtype(tensors, "stack")
    first = found[0].array.shape
    for i, t in enumerate(found):
        if t.array.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 "
                f"and {list(t.array.shape)} at entry {i}"
            )
    return apply(arranging.stack, *found, dim=axis(dim, len(first) + 1))


def _listed(tensors: tuple[Any, ...]) -> Any:
    return tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], TensorBase) else tensors


def _at_least(tensors: tuple[Any, ...], fn: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], TensorBase):
        return fn(tensors[0])
    return tuple(fn(t) for t in _listed(tensors))


def atleast_1d(*tensors: Any) -> Any:
    """0-d tensors become 1-d."""
    return _at_least(tensors, lambda t: t if t.array.ndim else reshape(t, 1))


def atleast_2d(*tensors: Any) -> Any:
    """Vectors become one row."""
    return _at_least(tensors, lambda t: t if t.array.ndim > 1 else reshape(t, 1, t.array.size))


def atleast_3d(*tensors: Any) -> Any:
    """Vectors become [1, n, 1], matrices [n, m, 1]."""

    def lift(t: Any) -> Any:
        shape = t.array.shape
        if len(shape) > 2:
            return t
        return reshape(t, *shape, 1) if len(shape) == 2 else reshape(t, 1, t.array.size, 1)

    return _at_least(tensors, lift)


def hstack(tensors: Any) -> Any:
    """Side by side: along axis 1, or axis 0 for vectors."""
    found = atleast_1d(*tensors) if len(tensors) > 1 else (atleast_1d(tensors[0]),)
    return cat(found, 0 if found[0].array.ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """One below the other, vectors as rows."""
    return cat([atleast_2d(t) for t in tensors], 0)


def dstack(tensors: Any) -> Any:
    """Along the third axis."""
    return cat([atleast_3d(t) for t in tensors], 2)


def column_stack(tensors: Any) -> Any:
    """Vectors as the columns of a matrix."""
    return hstack([t if t.array.ndim > 1 else reshape(t, -1, 1) for t in tensors])


def _along(input: Any, at: int, start: int, stop: int) -> Any:
    return getitem(input, (slice(None),) * at + (slice(start, stop),))


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of one size (the last may be smaller), or of the listed sizes."""
    if not isinstance(split_size_or_sections, (int, np.integer)):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    size, at = int(split_size_or_sections), axis(dim, tensor.array.ndim)
    if not tensor.array.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    n = tensor.array.shape[at]
    if size < 0 or (size == 0 and n):
        raise RuntimeError(f"split expects split_size be positive, but got split_size={size}")
    starts = range(0, n, size) if n else (0,)
    return tuple(_along(tensor, at, s, min(s + size, n)) for s in starts)


def split_with_sizes(input: Any, split_sizes: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of the listed sizes, which must add up to the axis."""
    at, sizes = axis(dim, input.array.ndim), [int(s) for s in split_sizes]
    n = input.array.shape[at]
    if sum(sizes) != n or any(s < 0 for s in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
            f"dimension {at}), but got split_sizes={sizes}"
        )
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(_along(input, at, a, b) for a, b in itertools.pairwise(ends))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` pieces of one size (the last may be smaller)."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    at = axis(dim, input.array.ndim)
    if not input.array.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    n = input.array.shape[at]
    if not n:
        return tuple(_along(input, at, 0, 0) for _ in range(chunks))
    return split(input, -(-n // chunks), at)


def tensor_split(
    input: Any, indices_or_sections: Any = None, dim: int = 0, **named: Any
) -> tuple[Any, ...]:
    """`n` pieces of nearly equal size, or pieces that end at the listed indices."""
    for key in ("indices", "sections", "tensor_indices_or_sections"):
        indices_or_sections = named.get(key, indices_or_sections)
    at, ends = axis(dim, input.array.ndim), indices_or_sections
    if not input.array.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor")
    n = input.array.shape[at]
    if isinstance(ends, TensorBase):
        ends = ends.array.tolist()
    if isinstance(ends, int):
        if ends <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {ends}")
        small, extra = divmod(n, ends)
        sizes = [small + 1] * extra + [small] * (ends - extra)
        ends = np.cumsum(sizes)[:-1].tolist()
    starts, stops = [0, *ends], [*ends, n]
    return tuple(_along(input, at, int(a), int(b)) for a, b in zip(starts, stops))


def _split_axis(input: Any, how: Any, at: int, name: str) -> tuple[Any, ...]:
    n = input.array.shape[at]
    if isinstance(how, int) and (how <= 0 or n % how):
        raise RuntimeError(
            f"{name} attempted to split along dimension {at}, but the size of the dimension {n} "
            f"is not divisible by the split_size {how}!"
        )
    return tensor_split(input, how, at)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split columns (or the one axis of a vector)."""
    if not input.array.ndim:
        raise RuntimeError("torch.hsplit requires a tensor with at least 1 dimension")
    return _split_axis(input, indices_or_sections, 0 if input.array.ndim == 1 else 1, "hsplit")


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split rows."""
    if input.array.ndim < 2:
        raise RuntimeError("torch.vsplit requires a tensor with at least 2 dimension")
    return _split_axis(input, indices_or_sections, 0, "vsplit")


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split along the third axis."""
    if input.array.ndim < 3:
        raise RuntimeError("torch.dsplit requires a tensor with at least 3 dimension")
    return _split_axis(input, indices_or_sections, 2, "dsplit")


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, without it."""
    at = axis(dim, input.array.ndim)
    if not input.array.ndim:
        raise RuntimeError("unbind expects at least a 1-dimensional tensor")
    lead = (slice(None),) * at
    return tuple(getitem(input, (*lead, i)) for i in range(input.array.shape[at]))


class JoiningMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    split, split_with_sizes, chunk, unbind = split, split_with_sizes, chunk, unbind
    tensor_split, hsplit, vsplit, dsplit = tensor_split, hsplit, vsplit, dsplit
