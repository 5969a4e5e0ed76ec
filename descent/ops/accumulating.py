"""Accumulating writes: numbers added at places that the data decides.

    y_i = x_i + Σ_{j: p_j = i} v_j          dx = dy          dv_j = dy[p_j]

Everything flat: x [N], v [M], positions p [M] in [0, N).
"""

from __future__ import annotations

import numpy as np

from descent.op import Op
from descent.op.declared import Lowering
from descent.op.expand import lift
from descent.ops.rowsums import add_rows

__all__ = ["scatter_add", "scatter_max", "scatter_min", "scatter_prod"]


class Flat(Lowering):
    """All operands as rows of numbers; the result in the shape of the first."""

    def down(self, op, arrays, meta):
        return [a.reshape(-1) for a in arrays], [a.shape for a in arrays]

    def up(self, op, plan, i, out):
        return out.reshape(plan[0])

    def down_out(self, op, plan, i, out):
        return out.reshape(-1)

    def up_in(self, op, plan, i, dx):
        return dx.reshape(plan[i])


class Accumulating(Op):
    """An op that knows which values meet in one place, so that one element explains fast."""

    def explain(self, arrays, index, meta, output=0):
        x, v, p = arrays
        i = int(np.ravel_multi_index(tuple(index), x.shape)) if x.ndim else 0
        hits = np.flatnonzero(p.reshape(-1) == i)
        xs = lift("x", x.reshape(-1)[i : i + 1], np.array([i]), x.shape)
        vs = lift("v", v.reshape(-1)[hits], hits, v.shape)
        y = np.empty(1, object)
        self.ladder.loops.py(xs, vs, np.zeros(len(hits), np.int64), y)
        return y[0]


def _scatter_add(x, v, p, y):
    """x with v_j added at position p_j."""
    for n in range(x.shape[0]):
        y[n] = x[n]
    for m in range(v.shape[0]):
        y[p[m]] += v[m]


def _declare(fn):
    fn.__name__ = fn.__name__.lstrip("_")
    return Accumulating(fn, "[n], [m], [m] -> [n]", lower=Flat())


scatter_add = _declare(_scatter_add)


@scatter_add.numpy
def _(x, v, p):
    if x.dtype.kind == "f":
        return x + add_rows(v.reshape(-1, 1), p, x.shape[0]).reshape(-1)
    y = x.copy()
    np.add.at(y, p, v)
    return y


@scatter_add.grad
def scatter_add_grad_x(dy, dx):
    for n in range(dy.shape[0]):
        dx[n] = dy[n]


scatter_add_grad_x.numpy(lambda dy: dy)


@scatter_add.grad
def scatter_add_grad_v(p, dy, dv):
    for m in range(p.shape[0]):
        dv[m] = dy[p[m]]


scatter_add_grad_v.numpy(lambda p, dy: dy[p])


def _scatter_prod(x, v, p, y):
    """x with the element at position p_j multiplied by v_j."""
    for n in range(x.shape[0]):
        y[n] = x[n]
    for m in range(v.shape[0]):
        y[p[m]] *= v[m]


def _scatter_max(x, v, p, y):
    """The largest of x_i and all v_j with p_j = i; ties share the gradient."""
    for n in range(x.shape[0]):
        y[n] = x[n]
    for m in range(v.shape[0]):
        y[p[m]] = v[m] if v[m] > y[p[m]] or v[m] != v[m] else y[p[m]]


def _scatter_min(x, v, p, y):
    """The smallest of x_i and all v_j with p_j = i; ties share the gradient."""
    for n in range(x.shape[0]):
        y[n] = x[n]
    for m in range(v.shape[0]):
        y[p[m]] = v[m] if v[m] < y[p[m]] or v[m] != v[m] else y[p[m]]


scatter_prod = _declare(_scatter_prod)
scatter_max, scatter_min = _declare(_scatter_max), _declare(_scatter_min)


def _unbuffered(ufunc):
    def run(x, v, p):
        y = x.copy()
        ufunc.at(y, p, v)
        return y

    return run


scatter_prod.numpy(_unbuffered(np.multiply))
scatter_max.numpy(_unbuffered(np.maximum))
scatter_min.numpy(_unbuffered(np.minimum))


def scatter_prod_grad(x, v, p, dy, dx, dv):
    for n in range(x.shape[0]):
        dx[n] = dy[n]
    for m in range(v.shape[0]):
        dx[p[m]] *= v[m]
    for m in range(v.shape[0]):
        others = dy[p[m]] * x[p[m]]
        for k in range(v.shape[0]):
            if k != m and p[k] == p[m]:
                others *= v[k]
        dv[m] = others


@scatter_prod.grad(scatter_prod_grad).numpy
def _(x, v, p, dy):
    dx, zeros, rest = dy.copy(), np.bincount(p[v == 0], minlength=x.size), dy * x
    np.multiply.at(dx, p, v)
    np.multiply.at(rest, p[v != 0], v[v != 0])  # without the zeros, which divide badly
    alone = np.where(zeros[p] - (v == 0) > 0, 0, rest[p])
    return dx, alone / np.where(v == 0, 1, v)


def scatter_extreme_grad(x, v, p, y, dy, dx, dv):
    for n in range(x.shape[0]):
        ties = 1 if x[n] == y[n] else 0
        for m in range(v.shape[0]):
            if p[m] == n and v[m] == y[n]:
                ties += 1
        dx[n] = dy[n] / ties if x[n] == y[n] else 0 * dy[n]
        for m in range(v.shape[0]):
            if p[m] == n:
                dv[m] = dy[n] / ties if v[m] == y[n] else 0 * dy[n]


def _extreme_grad(x, v, p, y, dy):
    mine, theirs = x == y, v == y[p]
    share = dy / np.maximum(mine + np.bincount(p[theirs], minlength=x.size), 1).astype(dy.dtype)
    return np.where(mine, share, 0), np.where(theirs, share[p], 0)


scatter_max.grad(scatter_extreme_grad).numpy(_extreme_grad)
scatter_min.grad(scatter_extreme_grad).numpy(_extreme_grad)
