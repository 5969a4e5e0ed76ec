"""One slice of a tensor: read it as a view, or copy the tensor with the slice replaced."""

from __future__ import annotations

from typing import Any

from descent.autograd import apply
from descent.ops import movement
from descent.tensor.arranging import diagonal
from descent.tensor.common import axis
from descent.tensor.indexing import getitem

__all__ = [
    "SlicingMethods", "diagonal_scatter", "narrow", "narrow_copy", "select", "select_scatter",
    "slice_scatter", "slice_",
]  # fmt: skip


def _lead(at: int) -> tuple[slice, ...]:
    return (slice(None),) * at


def select(input: Any, dim: int, index: Any) -> Any:
    """The slice at one position of an axis, without that axis: a view."""
    if not input.array.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    at, n = axis(dim, input.array.ndim), int(index)
    if not -input.array.shape[at] <= n < input.array.shape[at]:
        raise IndexError(
            f"select(): index {n} out of range for tensor of size {list(input.array.shape)} "
            f"at dimension {at}"
        )
    return apply(movement.select, input, index=(*_lead(at), n))


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` positions of an axis from start: a view."""
    if not input.array.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    at, first = axis(dim, input.array.ndim), int(start)
    n = input.array.shape[at]
    if length < 0:
        raise RuntimeError(f"narrow(): length must be non-negative, got {length}")
    if not -n <= first <= n:
        raise IndexError(
            f"start out of range (expected to be in range of [{-n}, {n}], got {first})"
        )
    first += n if first < 0 else 0
    if first + length > n:
        raise RuntimeError(
            f"start ({first}) + length ({length}) exceeds dimension size ({n}) of dim {at}"
        )
    return getitem(input, (*_lead(at), slice(first, first + length)))


def narrow_copy(input: Any, dim: int, start: Any, length: int) -> Any:
    """`narrow` as a copy."""
    return narrow(input, dim, start, length).clone()


def slice_(input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """`input[start:end:step]` along an axis: a view."""
    at = axis(dim, input.array.ndim)
    return getitem(input, (*_lead(at), slice(start, end, step)))


def _replaced(input: Any, window_of: Any, src: Any, name: str) -> Any:
    y = input.clone()
    window = window_of(y)
    if window.array.shape != src.array.shape:
        raise RuntimeError(
            f"{name}(): expected src to have a size equal to the slice of self. src size = "
            f"{list(src.array.shape)}, slice size = {list(window.array.shape)}"
        )
    window.copy_(src)
    return y


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """Copy with the slice at one position of an axis replaced."""
    return _replaced(input, lambda y: select(y, dim, index), src, "select_scatter")


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """Copy with `[start:end:step]` along an axis replaced."""
    return _replaced(input, lambda y: slice_(y, dim, start, end, step), src, "slice_scatter")


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Copy with a diagonal replaced."""
    return _replaced(input, lambda y: diagonal(y, offset, dim1, dim2), src, "diagonal_scatter")


class SlicingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    select, narrow, narrow_copy = select, narrow, narrow_copy
    select_scatter, slice_scatter = select_scatter, slice_scatter
    diagonal_scatter = diagonal_scatter
