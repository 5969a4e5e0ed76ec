"""Gathers and scatters: elements picked, or written, at places that the data decides.

    gather:  y_j = x[p_j]            dx[p_j] += dy_j   (a place may be picked more than once)
    put:     y = x but y[p_j] = v_j
    add_at:  y = x but y[p_j] += v_j

`p` are positions: index arrays, masks, or flat positions along one axis.
"""

from __future__ import annotations

import numpy as np

from descent.op import movement, sum_to
from descent.ops.rowsums import add_rows

__all__ = ["gather", "index", "masked_select", "put", "scatter", "take"]


def _positions(given, index):
    """Flat positions, row by row of the trailing axes that `index` leaves whole.

    Returns positions (in the shape of the indexed part), and the trailing sizes.
    """
    parts = index if isinstance(index, tuple) else (index,)
    used = sum(p.ndim if isinstance(p, np.ndarray) and p.dtype == bool else 1 for p in parts)
    while parts and isinstance(parts[-1], slice) and parts[-1] == slice(None):
        parts, used = parts[:-1], used - 1
    lead, tail = given[:used], given[used:]
    if all(isinstance(p, np.ndarray) and p.dtype != bool for p in parts):
        flat = np.zeros((), np.int64)
        for p, n in zip(parts, lead):
            flat = flat * n + np.where(p < 0, p + n, p)
        return flat, tail
    return np.arange(int(np.prod(lead, dtype=int))).reshape(lead)[parts], tail


@movement
def index(x, index):
    """Indexing by integer arrays and masks: a copy, with NumPy's rules of combination."""
    return np.asarray(x[index])


@index.grad
def _(dy, given, index):
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) == 1 and parts[0].dtype == bool:  # a mask picks nothing twice
        dx = np.zeros(given, dy.dtype)
        dx[index] = dy
        return dx
    positions, tail = _positions(given, index)
    width = int(np.prod(tail, dtype=int))
    n = int(np.prod(given[: len(given) - len(tail)], dtype=int))
    rows = dy.reshape(positions.size, width)
    return add_rows(rows, positions.ravel(), n).reshape(given)


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


index_put = put.named("index_put")


@movement
def gather(x, dim, index):
    """y[i, j] = x[index[i, j], j] for dim 0, and so on; axes of index may be shorter than x's."""
    return np.take_along_axis(_cropped(x, dim, index.shape), index, dim)


@gather.grad
def _(dy, given, dim, index):
    positions = along(given, dim, index)
    n = int(np.prod(given, dtype=int))
    return add_rows(dy.reshape(-1, 1), positions.ravel(), n).reshape(given)


def _cropped(x, dim, shape):
    """x without what lies outside `shape` on the axes other than dim."""
    return x[tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(shape))]


def along(given, dim, index):
    """Flat positions, in an array of shape `given`, of the places that gather reads."""
    return np.take_along_axis(
        _cropped(np.arange(int(np.prod(given, dtype=int))).reshape(given), dim, index.shape),
        index,
        dim,
    )


@movement
def take(x, index):
    """Elements at flat positions."""
    return x.reshape(-1)[index]


@take.grad
def _(dy, given, index):
    n = int(np.prod(given, dtype=int))
    return add_rows(dy.reshape(-1, 1), index.ravel() % max(n, 1), n).reshape(given)


@movement(many=True)
def put_flat(xs, positions):
    """x with the elements at flat positions replaced, the last one where a place comes twice."""
    y = xs[0].copy()
    y.reshape(-1)[positions] = xs[1]
    return y


@put_flat.grad
def _(dy, shapes, positions):
    dx = dy.copy()
    flat = dx.reshape(-1)
    dv = flat[positions].reshape(shapes[1])
    flat[positions] = 0
    return dx, dv


scatter = put_flat.named("scatter")
index_copy, index_fill = put_flat.named("index_copy"), put_flat.named("index_fill")
index_select, masked_select = index.named("index_select"), index.named("masked_select")
