"""Rotary positions: pairs of numbers turned by an angle that grows with the position.

    y_i       = x_i cos θ − x_{i + D/2} sin θ
    y_{i+D/2} = x_{i + D/2} cos θ + x_i sin θ          θ = θ[t, i],  i = 0 … D/2 − 1

Two turned vectors' dot product depends on the difference of their positions alone.
Su et al. 2021, arXiv:2104.09864, §3.4.2; pairs are halves of the head ("rotate_half"), not
neighbours. The gradient is turned back. Angles are not learned: cos and sin get no gradient.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import prange
from descent.op import op
from descent.ops.blocks import large, over_rows

__all__ = ["rotary"]

SLAB = 65_536  # elements a thread takes at least


@op("b t n [d], t [k], t [k] -> b t n [d]", flops=lambda b, t, n, d, k: 3 * b * t * n * d)
def rotary(x, cos, sin, y):
    """Pairs (i, i + k) of the last axis turned by the angle of row t; d = 2k."""
    k = cos.shape[1]
    for b in prange(x.shape[0]):
        for t in range(x.shape[1]):
            for n in range(x.shape[2]):
                for i in range(k):
                    y[b, t, n, i] = x[b, t, n, i] * cos[t, i] - x[b, t, n, k + i] * sin[t, i]
                for i in range(k):
                    y[b, t, n, k + i] = x[b, t, n, k + i] * cos[t, i] + x[b, t, n, i] * sin[t, i]


def turned(x, cos, sin):
    """Whole-array form."""
    k = cos.shape[1]
    cos, sin = cos[:, None], sin[:, None]  # t 1 k
    y = np.empty(x.shape, x.dtype)
    np.multiply(x[..., :k], cos, out=y[..., :k])
    y[..., :k] -= x[..., k:] * sin
    np.multiply(x[..., k:], cos, out=y[..., k:])
    y[..., k:] += x[..., :k] * sin
    return y


@rotary.numpy
def _(x, cos, sin):
    return turned(x, cos, sin)


@rotary.grad
def rotary_grad(cos, sin, dy, dx):
    k = cos.shape[1]
    for b in prange(dy.shape[0]):
        for t in range(dy.shape[1]):
            for n in range(dy.shape[2]):
                for i in range(k):
                    dx[b, t, n, i] = dy[b, t, n, i] * cos[t, i] + dy[b, t, n, k + i] * sin[t, i]
                for i in range(k):
                    dx[b, t, n, k + i] = dy[b, t, n, k + i] * cos[t, i] - dy[b, t, n, i] * sin[t, i]


@rotary_grad.numpy
def _(cos, sin, dy):
    return turned(dy, cos, -sin)


def by_entries(loops, x, cos, sin):
    """The compiled loops on float32, divided over entries, or over the rows of a single one."""
    x, cos, sin = (np.ascontiguousarray(a) for a in (x, cos, sin))
    y = np.empty_like(x)
    least = 1 + SLAB * len(x) // x.size
    if len(x) > 1:
        over_rows(lambda s: loops(x[s], cos, sin, y[s]), len(x), least)
    else:
        over_rows(lambda s: loops(x[:, s], cos[s], sin[s], y[:, s]), len(cos), SLAB // 64)
    return y


@rotary.ladder.add("tuned", large)
def _(x, cos, sin):
    return by_entries(rotary.ladder.loops, x, cos, sin)


@rotary_grad.add("tuned", lambda cos, sin, dy: large(dy))
def _(cos, sin, dy):
    return by_entries(rotary.ladder.loops, dy, cos, -sin)
