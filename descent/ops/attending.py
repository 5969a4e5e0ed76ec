"""Attention: every query mixes the values, weighted by how well their keys match it.

    p_ij = softmax_j(s q_i · k_j),   y_i = Σ_j p_ij v_j          over the first limit_i keys
    dv_j = Σ_i p_ij dy_i,   dp_ij = dy_i · v_j,   g_ij = p_ij (dp_ij − Σ_l dp_il p_il)
    dq_i = s Σ_j g_ij k_j,   dk_j = s Σ_i g_ij q_i

`limit` says how many keys each query may see: all of them, or i + 1 in a causal model.
Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1. Masks of other shapes and dropout are composed
in `nn.functional.scaled_dot_product_attention`. Left out: tiling (arXiv:2205.14135).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from descent.blas import single_threaded_blas
from descent.kernel import kernel, prange
from descent.op import Lowering, Op, op
from descent.ops.blocks import large, over_rows
from descent.ops.probability import row_max
from descent.ops.rowwise import largest
from descent.ops.vectormath import ONE, ZERO, exp32
from descent.threads import worth_sharing

__all__ = ["attention"]


class Heads(Lowering):
    """Batch and head axes, equal in q, k and v, become one axis b."""

    def down(self, op: Op, arrays: Sequence[np.ndarray], meta: dict[str, Any]):
        shapes = [a.shape for a in arrays[:3]]
        b = prod(shapes[0][:-2])
        return [a.reshape(b, *a.shape[-2:]) for a in arrays[:3]] + [arrays[3]], shapes

    def up(self, op: Op, plan: Any, i: int, out: np.ndarray) -> np.ndarray:
        return out.reshape(plan[0][:-2] + out.shape[1:])

    def down_out(self, op: Op, plan: Any, i: int, out: np.ndarray) -> np.ndarray:
        return out.reshape(prod(plan[0][:-2]), *out.shape[-2:])

    def up_in(self, op: Op, plan: Any, i: int, dx: np.ndarray) -> np.ndarray:
        return dx.reshape(plan[i])


@op(
    "b q d, b k d, b k e, q -> b q e, b q [k]",
    lower=Heads(),
    flops=lambda b, q, k, d, e: 2 * b * q * k * (d + e),
)
def attention(q, k, v, limit, y, p, scale):
    """Scores, softmax over the visible keys, mixture of their values; keeps the probabilities p."""
    for b in prange(q.shape[0]):
        for i in range(q.shape[1]):
            n = limit[i]
            for j in range(n):  # scores
                score = q[b, i, 0] * k[b, j, 0]
                for d in range(1, q.shape[2]):
                    score += q[b, i, d] * k[b, j, d]
                p[b, i, j] = score * scale
            m = p[b, i, 0]
            for j in range(1, n):
                m = max(m, p[b, i, j])
            total = 0 * m
            for j in range(n):  # softmax
                p[b, i, j] = np.exp(p[b, i, j] - m)
                total += p[b, i, j]
            for j in range(n):
                p[b, i, j] = p[b, i, j] / total
            for j in range(n, k.shape[1]):
                p[b, i, j] = 0 * m
            for e in range(v.shape[2]):  # mix
                mixed = p[b, i, 0] * v[b, 0, e]
                for j in range(1, n):
                    mixed += p[b, i, j] * v[b, j, e]
                y[b, i, e] = mixed


@kernel(reorder=True)
def softmax_visible(p, limit):
    """Softmax over the first limit[i] entries of every p[b, i], the rest 0; in place, float32."""
    for b in range(p.shape[0]):
        for i in range(p.shape[1]):
            n, total = limit[i], ZERO
            m = largest(p[b, i, :n])
            for j in range(n):
                e = exp32(p[b, i, j] - m)
                p[b, i, j] = e
                total += e
            scale = ONE / total
            for j in range(n):
                p[b, i, j] *= scale
            for j in range(n, p.shape[2]):
                p[b, i, j] = ZERO


@kernel(reorder=True)
def softmax_visible_grad(g, p, scale):
    """g ← scale · p (g − Σ g p) for every row; in place, float32."""
    for b in range(p.shape[0]):
        for i in range(p.shape[1]):
            dot = ZERO
            for j in range(p.shape[2]):
                dot += g[b, i, j] * p[b, i, j]
            for j in range(p.shape[2]):
                g[b, i, j] = scale * p[b, i, j] * (g[b, i, j] - dot)


def mix(q, k, v, limit, scale, y, p, compiled):
    """Whole-array form, into y and p; the softmax in a compiled loop when asked for."""
    np.matmul(q * q.dtype.type(scale), k.swapaxes(1, 2), out=p)
    if compiled:
        softmax_visible(p, limit)
        np.matmul(p, v, out=y)
        return
    if limit.size and limit.min() < k.shape[1]:
        p += np.where(np.arange(k.shape[1]) < limit[:, None], 0, -np.inf).astype(q.dtype)
    if p.size:
        p -= row_max(p.reshape(-1, p.shape[2])).reshape(*p.shape[:2], 1)
    np.exp(p, out=p)
    p /= np.einsum("bqk->bq", p)[:, :, None]
    np.matmul(p, v, out=y)


@attention.numpy
def _(q, k, v, limit, scale):
    y = np.empty((*q.shape[:2], v.shape[2]), q.dtype)
    p = np.empty((*q.shape[:2], k.shape[1]), q.dtype)
    compiled = large(p) and limit.size > 0 and limit.min() > 0
    by_batch(lambda s: mix(q[s], k[s], v[s], limit, scale, y[s], p[s], compiled), p, q.shape[2])
    return y, p


def by_batch(part, p, d):
    """Run `part(slice of the batch)` for all of it, divided over threads where it pays."""
    single_threaded_blas()
    if worth_sharing(4 * p.size * d):
        over_rows(part, p.shape[0])
    else:
        part(slice(0, p.shape[0]))


@attention.grad
def attention_grad(q, k, v, limit, p, dy, dq, dk, dv, scale):
    for b in prange(q.shape[0]):
        for j in range(k.shape[1]):
            for d in range(k.shape[2]):
                dk[b, j, d] = 0 * k[b, j, d]
            for e in range(v.shape[2]):
                dv[b, j, e] = 0 * v[b, j, e]
        for i in range(q.shape[1]):
            n = limit[i]
            dot = 0 * dy[b, i, 0]  # Σ_l dp_il p_il = dy_i · y_i
            for j in range(n):
                for e in range(v.shape[2]):
                    dot += dy[b, i, e] * v[b, j, e] * p[b, i, j]
                    dv[b, j, e] += p[b, i, j] * dy[b, i, e]
            for d in range(q.shape[2]):
                dq[b, i, d] = 0 * q[b, i, d]
            for j in range(n):
                dp = 0 * dot
                for e in range(v.shape[2]):
                    dp += dy[b, i, e] * v[b, j, e]
                g = p[b, i, j] * (dp - dot) * scale
                for d in range(q.shape[2]):
                    dq[b, i, d] += g * k[b, j, d]
                    dk[b, j, d] += g * q[b, i, d]


def unmix(q, k, v, p, dy, scale, dq, dk, dv, compiled):
    """Whole-array form of the gradient, into dq, dk and dv."""
    g = np.matmul(dy, v.swapaxes(1, 2))
    if compiled:
        softmax_visible_grad(g, p, q.dtype.type(scale))
    else:
        g *= p
        g -= p * np.einsum("bqk->bq", g)[:, :, None]
        g *= q.dtype.type(scale)
    np.matmul(g, k, out=dq)
    np.matmul(g.swapaxes(1, 2), q, out=dk)
    np.matmul(p.swapaxes(1, 2), dy, out=dv)


@attention_grad.numpy
def _(q, k, v, limit, p, dy, scale):
    dq, dk, dv = (np.empty(a.shape, a.dtype) for a in (q, k, v))
    compiled = large(p)
    by_batch(
        lambda s: unmix(q[s], k[s], v[s], p[s], dy[s], scale, dq[s], dk[s], dv[s], compiled),
        p,
        q.shape[2],
    )
    return dq, dk, dv
