"""The same elements in other shapes and orders: views of one memory wherever that is possible."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from descent.autograd import TensorBase, apply, current_node, wrap
from descent.dtypes import dtype as dtype_class
from descent.ops import movement
from descent.tensor.common import axes, axis

__all__ = [
    "ShapingMethods", "broadcast_shapes", "broadcast_tensors", "broadcast_to", "clone",
    "contiguous", "expand", "expand_as", "flatten", "infer", "movedim", "numel", "permute", "ravel",
    "reshape", "reshape_as", "sizes", "squeeze", "sum_to_size", "swapaxes", "t", "transpose",
    "unflatten", "unsqueeze", "view", "view_as",
]  # fmt: skip


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f(size)` are the same."""
    if (
        len(args) == 1
        and not isinstance(args[0], (int, np.integer))
        and not hasattr(args[0], "array")
    ):
        args = tuple(args[0])
    return tuple(n.__index__() for n in args)


def infer(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """Fill in one -1.

    Raises:
        RuntimeError: when the elements do not fit.
    """
    if -1 not in shape and prod(shape) == numel:
        return shape
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = prod(n for n in shape if n != -1)
    if -1 in shape and known and numel % known == 0:
        shape = tuple(numel // known if n == -1 else n for n in shape)
    if prod(shape) != numel or -1 in shape:
        if -1 in shape and not known and not numel:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)}: "
                "the unspecified dimension size -1 can be any value"
            )
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return shape


def reshape(input: Any, *shape: Any, **named: Any) -> Any:
    """Another shape over the same elements; a view when memory allows, else a copy."""
    wanted = infer(sizes(shape or (named["shape"],)), input.array.size)
    return apply(movement.view, input, shape=wanted)


def reshape_as(input: Any, other: Any) -> Any:
    """`input` in the shape of `other`."""
    return apply(movement.view, input, shape=infer(other.array.shape, input.array.size))


def view(input: Any, *shape: Any) -> Any:
    """Another shape over the same memory (or, given a dtype, another reading of it)."""
    if len(shape) == 1 and isinstance(shape[0], dtype_class):
        return _view_dtype(input, shape[0])
    wanted = infer(sizes(shape), input.array.size)
    y = apply(movement.view, input, shape=wanted)
    if y.base is None and y.array.size:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return y


def _view_dtype(input: Any, dtype: dtype_class) -> Any:
    if input.requires_grad and dtype.np != input.array.dtype:
        raise RuntimeError("a view of another dtype has no gradient; use .detach() or .to(dtype)")
    try:
        y = wrap(input.array.view(dtype.np))
    except ValueError as error:
        raise RuntimeError(
            f"can't read a tensor of shape {list(input.array.shape)} and dtype "
            f"{input.array.dtype} as {dtype.name}: {error}"
        ) from None
    y.version = input.version
    return y


def view_as(input: Any, other: Any) -> Any:
    """`input` viewed in the shape of `other`."""
    return view(input, other.array.shape)


def permute(input: Any, *dims: Any, **named: Any) -> Any:
    """Reorder the axes."""
    nd = input.array.ndim
    order = tuple(axis(d, nd) for d in sizes(dims or (named["dims"],)))
    if len(order) != nd:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {nd} "
            f"is not equal to len(dims) = {len(order)}"
        )
    if len(set(order)) != nd:
        raise RuntimeError(f"permute(): duplicate dims are not allowed, got {list(order)}")
    return apply(movement.permute, input, dims=order)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Exchange two axes."""
    nd = input.array.ndim
    a, b = axis(dim0, nd), axis(dim1, nd)
    order = list(range(nd))
    if nd:
        order[a], order[b] = b, a
    return apply(movement.transpose, input, dims=tuple(order))


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Exchange two axes."""
    return transpose(input, axis0, axis1)


def t(input: Any) -> Any:
    """The transpose of a matrix; vectors and numbers stay as they are."""
    nd = input.array.ndim
    if nd > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {nd}D")
    return apply(movement.t, input, dims=tuple(range(nd))[::-1])


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Move axes to new places; the others keep their order."""
    nd = input.array.ndim
    src, dst = axes(source, nd) or (), axes(destination, nd) or ()
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(src)} dims) should "
            f"contain the same number of dims as destination ({list(dst)} dims)"
        )
    order = [d for d in range(nd) if d not in src]
    for place, d in sorted(zip(dst, src)):
        order.insert(place, d)
    return apply(movement.permute, input, dims=tuple(order))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Drop axes of size 1: all of them, or those of `dim` (an axis or several)."""
    shape = input.array.shape
    chosen = range(len(shape)) if dim is None else axes(dim, len(shape)) or ()
    kept = tuple(n for i, n in enumerate(shape) if n != 1 or i not in chosen)
    return apply(movement.squeeze, input, shape=kept)


def unsqueeze(input: Any, dim: int) -> Any:
    """A new axis of size 1 at place `dim`."""
    shape = input.array.shape
    at = axis(dim, len(shape) + 1)
    return apply(movement.unsqueeze, input, shape=(*shape[:at], 1, *shape[at:]))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Axes start_dim … end_dim become one."""
    shape = input.array.shape
    if not shape:
        for d in (start_dim, end_dim):
            axis(d, 0)
        return apply(movement.view, input, shape=(1,))
    a, b = axis(start_dim, len(shape)), axis(end_dim, len(shape))
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if a == b:
        return input
    merged = (*shape[:a], prod(shape[a : b + 1]), *shape[b + 1 :])
    return apply(movement.view, input, shape=merged)


def ravel(input: Any) -> Any:
    """All elements as one axis."""
    return apply(movement.view, input, shape=(input.array.size,))


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """One axis becomes several (one size may be -1)."""
    shape = input.array.shape
    at = axis(dim, len(shape))
    parts = tuple(int(n) for n in sizes)
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = infer(parts, shape[at])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim "
            f"{at} ({shape[at]}) in the input tensor"
        ) from None
    return apply(movement.view, input, shape=(*shape[:at], *parts, *shape[at + 1 :]))


def expand(input: Any, *shape: Any) -> Any:
    """Repeat axes of size 1 without copying; -1 keeps an axis."""
    wanted, given = sizes(shape), input.array.shape
    lead = len(wanted) - len(given)
    if lead < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(wanted)}) must be greater or equal to "
            f"the number of dimensions in the tensor ({len(given)})"
        )
    full = tuple(given[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(wanted))
    for i, n in enumerate(full):
        if n < 0 or (i >= lead and given[i - lead] not in (1, n)):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size "
                f"({given[i - lead] if i >= lead else 'none'}) at non-singleton dimension {i}.  "
                f"Target sizes: {list(wanted)}.  Tensor sizes: {list(given)}"
            )
    return apply(movement.expand, input, shape=full)


def expand_as(input: Any, other: Any) -> Any:
    """`input` expanded to the shape of `other`."""
    return expand(input, other.array.shape)


def broadcast_to(input: Any, size: Any) -> Any:
    """`input` expanded to a shape."""
    return expand(input, tuple(size))


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape to which tensors of these shapes broadcast."""
    from descent.tensor.size import Size

    tuples = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    try:
        return Size(np.broadcast_shapes(*tuples))
    except ValueError:
        raise RuntimeError(
            f"Shape mismatch: objects cannot be broadcast to a single shape: {tuples}"
        ) from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to their common shape."""
    given = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], TensorBase) else tensors
    shape = broadcast_shapes(*(x.array.shape for x in given))
    return tuple(expand(x, shape) for x in given)


def numel(input: Any) -> int:
    """The number of elements."""
    return input.array.size


def sum_to_size(input: Any, *size: Any) -> Any:
    """Sum over the axes along which `size` would have been broadcast to this shape."""
    wanted, given = sizes(size), input.array.shape
    lead = len(given) - len(wanted)
    if lead < 0 or any(n not in (1, m) for n, m in zip(wanted, given[lead:])):
        raise RuntimeError(
            f"size {list(wanted)} is not expandable to size {list(given)}: sum_to_size() undoes "
            "an expansion"
        )
    over = (*range(lead), *(i + lead for i, n in enumerate(wanted) if n != given[i + lead]))
    return reshape(input.sum(over, keepdim=True), wanted) if over else input


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy with history."""
    return apply(movement.clone, input)


def contiguous(input: Any, memory_format: Any = None) -> Any:
    """Itself when its elements lie in row-major order, else a copy in that order."""
    return input if input.array.flags.c_contiguous else apply(movement.clone, input)


class ShapingMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    array: np.ndarray
    reshape, reshape_as, view, view_as = reshape, reshape_as, view, view_as
    permute, transpose, t, movedim, moveaxis = permute, transpose, t, movedim, movedim
    swapaxes = swapdims = swapaxes
    squeeze, unsqueeze, flatten, unflatten, ravel = squeeze, unsqueeze, flatten, unflatten, ravel
    expand, expand_as, broadcast_to = expand, expand_as, broadcast_to
    clone, contiguous, sum_to_size = clone, contiguous, sum_to_size

    @property
    def T(self) -> Any:
        """All axes reversed."""
        return permute(self, tuple(range(self.array.ndim))[::-1])

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        if self.array.ndim < 2:
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices. "
                f"Got {self.array.ndim}-D tensor."
            )
        return transpose(self, -2, -1)

    mH = mT

    @property
    def H(self) -> Any:
        """The transpose of a matrix (its adjoint: there are no complex numbers here)."""
        if self.array.ndim not in (0, 2):
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got {self.array.ndim}-D."
            )
        return t(self)

    def adjoint(self) -> Any:
        """The last two axes exchanged."""
        return transpose(self, -2, -1)

    def squeeze_(self, dim: Any = None) -> Any:
        """`squeeze` of this very tensor."""
        return _become(self, squeeze(self, dim))

    def unsqueeze_(self, dim: int) -> Any:
        """`unsqueeze` of this very tensor."""
        return _become(self, unsqueeze(self, dim))

    def t_(self) -> Any:
        """`t` of this very tensor."""
        return _become(self, t(self))

    def transpose_(self, dim0: int, dim1: int) -> Any:
        """`transpose` of this very tensor."""
        return _become(self, transpose(self, dim0, dim1))


def _become(x: Any, y: Any) -> Any:
    """Give x the shape of its own view y; only without history, which would be lost."""
    if x.requires_grad or current_node(x) is not None:
        raise RuntimeError(
            "a tensor that requires grad can't change its shape in place; "
            "use the function that returns a view"
        )
    x.array, x.view_of = y.array, y.view_of if x.base is not None else ()
    x.version[0] += 1
    return x
