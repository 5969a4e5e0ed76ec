"""Movement: the same numbers in another order or shape; views where memory allows."""

from __future__ import annotations

import numpy as np

from descent.op import movement, sum_to

__all__ = ["copy", "expand", "getitem", "permute", "put", "reshape"]


@movement(view=True)
def reshape(x, shape):
    """Another shape over the same elements in row-major order."""
    return x.reshape(shape)


@reshape.grad
def _(dy, given, shape):
    return dy.reshape(given)


@movement(view=True)
def permute(x, dims):
    """Reorder the axes."""
    return x.transpose(dims)


@permute.grad
def _(dy, given, dims):
    return dy.transpose(np.argsort(dims))


@movement(view=True)
def getitem(x, index):
    """Basic indexing (a view) or indexing by arrays (a copy), with NumPy's rules."""
    y = x[index]
    return y if isinstance(y, np.ndarray) else np.asarray(y)


@getitem.grad
def _(dy, given, index):
    dx = np.zeros(given, dy.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, np.ndarray) for p in parts):
        np.add.at(dx, index, dy)  # an element may have been taken more than once
    else:
        dx[index] = dy
    return dx


@movement(view=True)
def expand(x, shape):
    """Repeat along axes of size 1 without copying."""
    return np.broadcast_to(x, shape)


@expand.grad
def _(dy, given, shape):
    lead = dy.ndim - len(given)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(given) if n == 1)
    return dy.sum(axes, keepdims=True).reshape(given)


@movement
def copy(x):
    """The same elements in memory of their own."""
    return x.copy()


@copy.grad
def _(dy, given):
    return dy


@movement(many=True)
def put(xs, index):
    """x with x[index] replaced by the second operand (broadcast)."""
    y = xs[0].copy()
    y[index] = xs[1]
    return y


@put.grad
def _(dy, shapes, index):
    dx = dy.copy()
    dx[index] = 0
    return dx, sum_to(np.asarray(dy[index]), shapes[1])
