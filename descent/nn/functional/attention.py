"""Scaled dot-product attention with masks and dropout."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from descent.autograd import apply, known, wrap
from descent.nn.functional.dropping import dropout
from descent.ops import attending
from descent.tensor.common import operands
from descent.tensor.probability import softmax

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(scale · q kᵀ + mask) v.

    Args:
        query: [..., T, D]; key: [..., S, D]; value: [..., S, E]. Leading axes broadcast.
        attn_mask: [..., T, S]; True or a number to add where a query may attend. None: everywhere.
        dropout_p: share of the probabilities dropped, always (as PyTorch's, it knows no training).
        is_causal: query i sees keys 0 … i. scale: 1/√D unless given.
        enable_gqa: repeat the heads (axis -3) of key and value to match the query's.

    Returns:
        [..., T, E].
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("Explicit attn_mask should not be set when is_causal=True")
    q, k, v = operands(query, key, value)
    if min(q.array.ndim, k.array.ndim, v.array.ndim) < 2:
        raise RuntimeError("attention needs queries, keys and values of at least 2 axes [T, D]")
    if q.array.shape[-1] != k.array.shape[-1] or k.array.shape[-2] != v.array.shape[-2]:
        raise RuntimeError(
            f"attention: query {list(q.array.shape)} and key {list(k.array.shape)} must have equal "
            f"last axes, key and value {list(v.array.shape)} equal lengths (axis -2)"
        )
    if enable_gqa:
        k, v = (_repeat_heads(x, q.array.shape[-3]) for x in (k, v))
    scale = 1 / sqrt(q.array.shape[-1]) if scale is None else scale
    lead = np.broadcast_shapes(*(x.array.shape[:-2] for x in (q, k, v)))
    q, k, v = (_with_lead(x, lead) for x in (q, k, v))
    t, s = q.array.shape[-2], k.array.shape[-2]
    if attn_mask is None and dropout_p == 0.0 and s:
        limit = np.minimum(np.arange(1, t + 1), s) if is_causal else np.full(t, s)
        return apply(attending.attention, q, k, v, wrap(limit), scale=scale)
    scores = (q * scale) @ k.transpose(-2, -1)
    if is_causal:
        attn_mask = wrap(np.tri(t, s, dtype=bool))
    probabilities = _masked_softmax(scores, attn_mask)
    return dropout(probabilities, dropout_p) @ v


def _masked_softmax(scores: Any, mask: Any) -> Any:
    """Softmax of the visible scores; a query that may see nothing gets zeros, as in PyTorch."""
    if mask is None:
        return softmax(scores, -1)
    dtype = scores.array.dtype
    if mask.array.dtype == bool:
        mask = wrap(np.where(mask.array, 0, -np.inf).astype(dtype))
    blind = (mask.array == -np.inf).all(-1, keepdims=True)
    if known(blind) and not blind.any():
        return softmax(scores + mask, -1)
    mask = mask.masked_fill(wrap(blind), 0.0)  # any finite row: its probabilities are zeroed below
    return softmax(scores + mask, -1) * wrap(np.logical_not(blind).astype(dtype))


def _repeat_heads(x: Any, heads: int) -> Any:
    have = x.array.shape[-3]
    if heads % have:
        raise RuntimeError(f"enable_gqa: {heads} query heads are not a multiple of {have}")
    if have == heads:
        return x
    lead, (t, d) = x.array.shape[:-3], x.array.shape[-2:]
    x = x.reshape(*lead, have, 1, t, d).expand(*lead, have, heads // have, t, d)
    return x.reshape(*lead, heads, t, d)


def _with_lead(x: Any, lead: tuple[int, ...]) -> Any:
    return x if x.array.shape[:-2] == lead else x.expand(*lead, *x.array.shape[-2:])
