"""Arranging: copies that join, mirror, shift, repeat or mask the elements of arrays."""

from __future__ import annotations

import numpy as np

from descent.op import movement

__all__ = ["cat", "diag_embed", "flip", "repeat", "roll", "stack", "tril", "triu"]


@movement(many=True)
def cat(xs, dim):
    """Arrays one after the other along an axis."""
    return np.concatenate(xs, dim)


@cat.grad
def _(dy, shapes, dim):
    ends = np.cumsum([s[dim] for s in shapes])[:-1]
    return np.split(dy, ends, dim)


@movement(many=True)
def stack(xs, dim):
    """Arrays of one shape side by side along a new axis."""
    return np.stack(xs, dim)


@stack.grad
def _(dy, shapes, dim):
    lead = (slice(None),) * dim
    return [dy[(*lead, i)] for i in range(len(shapes))]


@movement
def flip(x, dims):
    """Reverse the order along axes."""
    return np.flip(x, dims).copy()


@flip.grad
def _(dy, given, dims):
    return np.flip(dy, dims).copy()


@movement
def roll(x, shifts, dims):
    """Shift along axes; what leaves at one end enters at the other. `dims=None`: as one row."""
    return np.roll(x, shifts, dims)


@roll.grad
def _(dy, given, shifts, dims):
    back = tuple(-s for s in shifts) if isinstance(shifts, tuple) else -shifts
    return np.roll(dy, back, dims)


@movement
def tril(x, diagonal):
    """Zero above the k-th diagonal of the last two axes."""
    return np.tril(x, diagonal)


@tril.grad
def _(dy, given, diagonal):
    return np.tril(dy, diagonal)


@movement
def triu(x, diagonal):
    """Zero below the k-th diagonal of the last two axes."""
    return np.triu(x, diagonal)


@triu.grad
def _(dy, given, diagonal):
    return np.triu(dy, diagonal)


@movement
def repeat(x, sizes):
    """The whole array again and again, `sizes[d]` times along axis d (leading axes may be new)."""
    return np.tile(x, sizes)


@repeat.grad
def _(dy, given, sizes):
    full = (1,) * (len(sizes) - len(given)) + tuple(given)
    split = tuple(n for pair in zip(sizes, full) for n in pair)
    return dy.reshape(split).sum(tuple(range(0, len(split), 2))).reshape(given)


@movement
def diag_embed(x, offset, dim1, dim2):
    """The last axis of x on a diagonal of two new axes, zero elsewhere."""
    n = x.shape[-1] + abs(offset)
    y = np.zeros((*x.shape[:-1], n, n), x.dtype)
    rows = np.arange(x.shape[-1])
    y[..., rows + max(-offset, 0), rows + max(offset, 0)] = x
    return np.moveaxis(y, (-2, -1), (dim1, dim2))


@diag_embed.grad
def _(dy, given, offset, dim1, dim2):
    return dy.diagonal(offset, dim1, dim2)
