"""Movement: the same numbers in another shape or order, as views of one memory.

The gradient of a movement is the inverse movement; where elements were repeated it is their sum,
and where elements were left out it is zero there.
"""

from __future__ import annotations

import numpy as np

from descent.op import movement

__all__ = [
    "as_strided", "copy", "diagonal", "expand", "permute", "reshape", "select", "slice_",
    "unfold", "unsqueeze",
]  # fmt: skip


@movement(view=True)
def reshape(x, shape):
    """Another shape over the same elements in row-major order."""
    return x.reshape(shape)


@reshape.grad
def _(dy, given, shape):
    return dy.reshape(given)


view, flatten, squeeze = reshape.named("view"), reshape.named("view"), reshape.named("squeeze")
unsqueeze = reshape.named("unsqueeze")


@movement(view=True)
def permute(x, dims):
    """Reorder the axes."""
    return x.transpose(dims)


@permute.grad
def _(dy, given, dims):
    return dy.transpose(np.argsort(dims))


transpose, t = permute.named("transpose"), permute.named("t")


@movement(view=True)
def select(x, index):
    """Basic indexing by integers, slices, None and Ellipsis: a view."""
    y = x[index]
    if isinstance(y, np.ndarray):  # a shadow of a compiled step, too
        return y
    return x[(*index, ...) if type(index) is tuple else (index, ...)]


@select.grad
def _(dy, given, index):
    dx = np.zeros_like(dy, shape=given)
    dx[index] = dy
    return dx


@select.adds
def _(dx, dy, index):
    dx[index] += dy


slice_ = select.named("slice")


@movement(view=True)
def expand(x, shape):
    """Repeat along axes of size 1 without copying."""
    return np.broadcast_to(x, shape)


@expand.grad
def _(dy, given, shape):
    lead = dy.ndim - len(given)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(given) if n == 1)
    return dy.sum(axes, keepdims=True).reshape(given)


@movement(view=True)
def diagonal(x, offset, dim1, dim2):
    """The elements with equal positions on two axes, as a new last axis."""
    y = x.diagonal(offset, dim1, dim2)
    y.flags.writeable = x.flags.writeable  # NumPy hands out a read-only view
    return y


@diagonal.grad
def _(dy, given, offset, dim1, dim2):
    dx = np.zeros_like(dy, shape=given)
    window = dx.diagonal(offset, dim1, dim2)
    window.flags.writeable = True
    window[...] = dy
    return dx


@movement(view=True)
def unfold(x, dim, size, step):
    """Windows of `size` elements every `step` along an axis, as a new last axis."""
    windows = np.lib.stride_tricks.sliding_window_view(x, size, dim, writeable=True)
    return windows[(slice(None),) * dim + (slice(None, None, step),)]


@unfold.grad
def _(dy, given, dim, size, step):
    dx = np.zeros_like(dy, shape=given)
    lead = (slice(None),) * dim
    count = dy.shape[dim]
    for k in range(size):  # windows overlap: one place of all windows at a time does not
        dx[(*lead, slice(k, k + step * count, step))] += dy[..., k]
    return dx


@movement(view=True)
def as_strided(x, size, stride, offset):
    """Any reading of the memory of x: element i stands at offset + Σ_d i_d · stride_d.

    Positions count from the first element of x's own memory block.
    """
    flat = _memory(x)
    steps = tuple(s * x.itemsize for s in stride)
    return np.lib.stride_tricks.as_strided(flat[offset:], size, steps, writeable=x.flags.writeable)


@as_strided.grad
def _(dy, given, size, stride, offset):
    n = int(np.prod(given, dtype=int))
    positions = np.full(size, offset)
    for d, (count, step) in enumerate(zip(size, stride)):
        positions += (np.arange(count) * step).reshape((-1,) + (1,) * (len(size) - d - 1))
    return (
        np.bincount(positions.ravel(), dy.ravel(), n)[:n].astype(dy.dtype).reshape(given)
        if n
        else np.zeros(given, dy.dtype)
    )


def _memory(x):
    if x.flags.c_contiguous:
        return x.reshape(-1)
    raise RuntimeError("as_strided needs a contiguous tensor; call .contiguous() first")


@movement
def copy(x):
    """The same elements in memory of their own, row-major."""
    return x.copy()


@copy.grad
def _(dy, given):
    return dy


clone = copy.named("clone")
