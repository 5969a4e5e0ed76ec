"""Attention: every query mixes the values, weighted by how well their keys match it.

    p_ij = softmax_j(s q_i · k_j),   y_i = Σ_j p_ij v_j          over the first limit_i keys
    lse_i = log Σ_j exp(s q_i · k_j)                             kept for the way back
    p_ij = exp(s q_i · k_j − lse_i),   dv_j = Σ_i p_ij dy_i,   dp_ij = dy_i · v_j
    g_ij = s p_ij (dp_ij − dy_i · y_i),   dq_i = Σ_j g_ij k_j,   dk_j = Σ_i g_ij q_i

`limit` says how many keys each query may see: all of them, or i + 1 in a causal model. No form
keeps the p of all queries: they are made again from `lse` (arXiv:2205.14135).
Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1. Masks of other shapes and dropout are composed
in `nn.functional.scaled_dot_product_attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from descent.blas import single_threaded_blas
from descent.kernel import compiling, prange
from descent.op import Lowering, Op, op
from descent.ops import headwise
from descent.ops.blocks import LARGE, over_rows
from descent.threads import n_threads, share, worth_sharing

__all__ = ["attention"]

HELD = 1 << 20  # scores held at a time by the whole-array form


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
    "b q d, b k d, b k e, q -> b q e, b q",
    lower=Heads(),
    flops=lambda b, q, k, d, e: 2 * b * q * k * (d + e),
)
def attention(q, k, v, limit, y, lse, scale):
    """Scores, softmax over the visible keys, mixture of their values."""
    for b in prange(q.shape[0]):
        for i in range(q.shape[1]):
            n = limit[i]
            p = np.empty(n, q.dtype)
            for j in range(n):  # scores
                score = q[b, i, 0] * k[b, j, 0]
                for d in range(1, q.shape[2]):
                    score += q[b, i, d] * k[b, j, d]
                p[j] = score * scale
            m = p[0]
            for j in range(1, n):
                m = max(m, p[j])
            total = 0 * m
            for j in range(n):  # softmax
                p[j] = np.exp(p[j] - m)
                total += p[j]
            for j in range(n):
                p[j] = p[j] / total
            for e in range(v.shape[2]):  # mix
                mixed = p[0] * v[b, 0, e]
                for j in range(1, n):
                    mixed += p[j] * v[b, j, e]
                y[b, i, e] = mixed
            lse[b, i] = m + np.log(total)


@attention.grad
def attention_grad(q, k, v, limit, y, lse, dy, dq, dk, dv, scale):
    for b in prange(q.shape[0]):
        for j in range(k.shape[1]):
            for d in range(k.shape[2]):
                dk[b, j, d] = 0 * k[b, j, d]
            for e in range(v.shape[2]):
                dv[b, j, e] = 0 * v[b, j, e]
        for i in range(q.shape[1]):
            dot = dy[b, i, 0] * y[b, i, 0]  # = Σ_j p_ij dp_ij
            for e in range(1, v.shape[2]):
                dot += dy[b, i, e] * y[b, i, e]
            for d in range(q.shape[2]):
                dq[b, i, d] = 0 * q[b, i, d]
            for j in range(limit[i]):
                score = q[b, i, 0] * k[b, j, 0]
                for d in range(1, q.shape[2]):
                    score += q[b, i, d] * k[b, j, d]
                p = np.exp(score * scale - lse[b, i])
                dp = 0 * dot
                for e in range(v.shape[2]):
                    dp += dy[b, i, e] * v[b, j, e]
                    dv[b, j, e] += p * dy[b, i, e]
                g = p * (dp - dot) * scale
                for d in range(q.shape[2]):
                    dq[b, i, d] += g * k[b, j, d]
                    dk[b, j, d] += g * q[b, i, d]


# -- whole arrays ------------------------------------------------------------------------------


def pieces(b: int, t: int, s: int) -> Iterator[tuple[slice, slice]]:
    """Entries and queries, so many at a time that their scores are few enough to be held."""
    entries = max(1, HELD // max(1, t * s))
    rows = max(1, HELD // max(1, s)) if entries == 1 else t
    for first in range(0, b, entries):
        for top in range(0, max(t, 1), max(rows, 1)):
            yield slice(first, min(first + entries, b)), slice(top, min(top + rows, t))


def scores(q: Any, k: Any, limit: Any, scale: float) -> Any:
    """s q kᵀ, −∞ where a query does not see a key."""
    p = np.matmul(q * q.dtype.type(scale), k.swapaxes(1, 2))
    if limit.size and limit.min() < k.shape[1]:
        p += np.where(np.arange(k.shape[1]) < limit[:, None], 0, -np.inf).astype(q.dtype)
    return p


def mix(q, k, v, limit, scale, y, lse):
    """Whole-array form, into y and lse."""
    p = scores(q, k, limit, scale)
    m = p.max(2, keepdims=True) if p.size else p[:, :, :1]
    p -= m
    np.exp(p, out=p)
    total = np.einsum("bqk->bq", p)
    np.matmul(p, v, out=y)
    y /= total[:, :, None]
    lse[...] = m[:, :, 0] + np.log(total)


@attention.numpy
def _(q, k, v, limit, scale):
    y = np.empty((*q.shape[:2], v.shape[2]), q.dtype)
    lse = np.empty(q.shape[:2], q.dtype)

    def part(b: slice) -> None:
        for at, r in pieces(b.stop - b.start, q.shape[1], k.shape[1]):
            e = slice(b.start + at.start, b.start + at.stop)
            mix(q[e, r], k[e], v[e], limit[r], scale, y[e, r], lse[e, r])

    by_batch(part, q, k)
    return y, lse


def by_batch(part: Callable[[slice], None], q: Any, k: Any) -> None:
    """Run `part(slice of the batch)` for all of it, divided over threads where it pays."""
    single_threaded_blas()
    if worth_sharing(4 * q.size * k.shape[1]):
        over_rows(part, len(q))
    else:
        part(slice(0, len(q)))


def unmix(q, k, v, limit, y, lse, dy, scale, dq, dk, dv):
    """Whole-array form of the gradient: into dq, and added to dk and dv."""
    p = scores(q, k, limit, scale)
    p -= lse[:, :, None]
    np.exp(p, out=p)
    dv += np.matmul(p.swapaxes(1, 2), dy)
    g = np.matmul(dy, v.swapaxes(1, 2))
    g -= np.einsum("bqe,bqe->bq", dy, y)[:, :, None]
    g *= p
    g *= q.dtype.type(scale)
    np.matmul(g, k, out=dq)
    dk += np.matmul(g.swapaxes(1, 2), q)


@attention_grad.numpy
def _(q, k, v, limit, y, lse, dy, scale):
    dq, dk, dv = np.empty(q.shape, q.dtype), np.zeros(k.shape, k.dtype), np.zeros(v.shape, v.dtype)

    def part(b: slice) -> None:
        for at, r in pieces(b.stop - b.start, q.shape[1], k.shape[1]):
            e = slice(b.start + at.start, b.start + at.stop)
            unmix(
                q[e, r], k[e], v[e], limit[r], y[e, r], lse[e, r], dy[e, r], scale,
                dq[e, r], dk[e], dv[e],
            )  # fmt: skip

    by_batch(part, q, k)
    return dq, dk, dv


# -- squares of 16 × 16, see `headwise` ----------------------------------------------------------


def many(q: Any, k: Any, v: Any, limit: Any, *rest: Any) -> bool:
    """Whether there is enough to do for the compiled form, and it fits: float32, all see a key."""
    size = q.shape[0] * q.shape[1] * k.shape[1]
    return size >= LARGE and q.dtype == np.float32 and compiling() and int(limit.min()) > 0


def bands(b: int, t: int, s: int, d: int) -> list[tuple[slice, slice]]:
    """Shares for the threads: some entries each, or where there are few of these, some queries."""
    if not worth_sharing(4 * b * t * s * d):
        return [(slice(0, b), slice(0, t))]
    parts = 2 * n_threads()
    if b >= parts:
        cuts = [b * i // parts for i in range(parts + 1)]
        return [(slice(x, y), slice(0, t)) for x, y in pairwise(cuts)]
    rows = max(headwise.BAND, -(-t // (parts * headwise.BAND)) * headwise.BAND)
    return [
        (slice(e, e + 1), slice(top, min(top + rows, t)))
        for e in range(b) for top in range(0, t, rows)
    ]  # fmt: skip


def flat(*arrays: Any) -> list[Any]:
    return [np.ascontiguousarray(a).reshape(-1) for a in arrays]


@attention.ladder.add("tuned", many)
def _(q, k, v, limit, scale):
    (b, t, d), s, e = q.shape, k.shape[1], v.shape[2]
    q, k, v = (np.ascontiguousarray(a) for a in (q, k, v))
    y, lse = np.empty((b, t, e), q.dtype), np.empty((b, t), q.dtype)

    def part(at: slice, r: slice) -> None:
        headwise.attend(
            0, at.stop - at.start, *flat(q[at, r], k[at], v[at]), limit[r],
            *flat(y[at, r], lse[at, r]), r.stop - r.start, s, d, e, np.float32(scale),
        )  # fmt: skip

    share([lambda x=x: part(*x) for x in bands(b, t, s, d)])
    return y, lse


@attention_grad.add("tuned", many)
def _(q, k, v, limit, y, lse, dy, scale):
    (b, t, d), s, e = q.shape, k.shape[1], v.shape[2]
    q, k, v, y, dy = (np.ascontiguousarray(a) for a in (q, k, v, y, dy))
    shares = bands(b, t, s, d)
    per_entry = max(1, sum(at.start == 0 for at, _ in shares))  # bands of queries of one entry
    dq, dk, dv = np.empty_like(q), *(np.empty((per_entry, *a.shape), q.dtype) for a in (k, v))

    def part(at: slice, r: slice, n: int) -> None:
        headwise.attend_grad(
            0, at.stop - at.start, *flat(q[at, r], k[at], v[at]), limit[r],
            *flat(y[at, r], lse[at, r], dy[at, r], dq[at, r], dk[n, at], dv[n, at]),
            r.stop - r.start, s, d, e, np.float32(scale),
        )  # fmt: skip

    share([lambda x=x, n=n: part(*x, n % per_entry) for n, x in enumerate(shares)])
    return dq, *(a[0] if per_entry == 1 else a.sum(0) for a in (dk, dv))
