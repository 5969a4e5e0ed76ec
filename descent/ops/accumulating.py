"""Accumulating writes: numbers added at places that the data decides.

    y_i = x_i + Σ_{j: p_j = i} v_j          dx = dy          dv_j = dy[p_j]

Everything flat: x [N], v [M], positions p [M] in [0, N).
"""

from __future__ import annotations

import numpy as np

from descent.op import Op
from descent.op.declared import Lowering
from descent.ops.gathers import add_rows

__all__ = ["scatter_add"]


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
        from descent.op.expand import lift

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


_scatter_add.__name__ = "scatter_add"
scatter_add = Accumulating(_scatter_add, "[n], [m], [m] -> [n]", lower=Flat())


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
