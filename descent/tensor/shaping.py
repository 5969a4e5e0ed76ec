"""The same elements in other shapes and orders."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from descent.autograd import apply
from descent.ops import movement
from descent.tensor.common import axis

__all__ = ["ShapingMethods", "clone", "expand", "permute", "reshape", "transpose", "view"]


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f(size)` are the same."""
    if (
        len(args) == 1
        and not isinstance(args[0], (int, np.integer))
        and not hasattr(args[0], "array")
    ):
        args = tuple(args[0])
    return tuple(int(n) for n in args)


def infer(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """Fill in one -1.

    Raises:
        RuntimeError: when the elements do not fit.
    """
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = prod(n for n in shape if n != -1)
    if -1 in shape and known and numel % known == 0:
        shape = tuple(numel // known if n == -1 else n for n in shape)
    if prod(shape) != numel or -1 in shape:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return shape


def reshape(input: Any, *shape: Any) -> Any:
    """Another shape over the same elements; a view when memory allows, else a copy."""
    wanted = infer(sizes(shape), input.array.size)
    return apply(movement.reshape, input, shape=wanted)


def view(input: Any, *shape: Any) -> Any:
    """Another shape over the same memory (or another dtype's reading of it)."""
    from descent.dtypes import dtype

    if len(shape) == 1 and isinstance(shape[0], dtype):
        return type(input)(input.array.view(shape[0].np))
    y = reshape(input, *shape)
    if y.base is None and y.array.size:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return y


def permute(input: Any, *dims: Any) -> Any:
    """Reorder the axes."""
    order = tuple(axis(d, input.array.ndim) for d in sizes(dims))
    if len(order) != input.array.ndim or len(set(order)) != len(order):
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {input.array.ndim} "
            f"is not equal to len(dims) = {len(order)}"
        )
    return apply(movement.permute, input, dims=order)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Exchange two axes."""
    order = list(range(input.array.ndim))
    if order:
        a, b = axis(dim0, len(order)), axis(dim1, len(order))
        order[a], order[b] = order[b], order[a]
    return apply(movement.permute, input, dims=tuple(order))


def expand(input: Any, *shape: Any) -> Any:
    """Repeat axes of size 1 without copying; -1 keeps an axis."""
    wanted = sizes(shape)
    lead = len(wanted) - input.array.ndim
    full = tuple(
        input.array.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(wanted)
    )
    try:
        return apply(movement.expand, input, shape=full)
    except ValueError:
        raise RuntimeError(
            f"The expanded size of the tensor {wanted} must match the existing size "
            f"{tuple(input.array.shape)} at every axis that is not 1"
        ) from None


def clone(input: Any) -> Any:
    """A copy with history."""
    return apply(movement.copy, input)


class ShapingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    array: np.ndarray
    reshape, view, permute, transpose, expand = reshape, view, permute, transpose, expand
    clone = clone

    @property
    def T(self) -> Any:
        """All axes reversed."""
        return permute(self, tuple(range(self.array.ndim))[::-1])
