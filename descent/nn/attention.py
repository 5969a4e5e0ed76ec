"""Multi-head attention as a layer, with PyTorch's parameters.

    head_i = softmax(Q_i K_iᵀ / √D + mask) V_i,   y = W_o [head_1 … head_H] + b_o

Vaswani et al. 2017, arXiv:1706.03762, section 3.2. in_proj_weight is W_q, W_k, W_v one below the
other; three separate weights when keys or values have another size than queries.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from descent.autograd import wrap
from descent.nn import functional as F
from descent.nn import init
from descent.nn.linear import Linear, empty_parameter
from descent.nn.module import Module
from descent.tensor.joining import cat

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention of `num_heads` heads of size embed_dim / num_heads.

    Args:
        add_bias_kv: learn one further key and value for all sequences to look at.
        add_zero_attn: add a further key and value of zeros.
        kdim, vdim: sizes of keys and values, embed_dim when None.
        batch_first: whether inputs are [B, T, C] instead of [T, B, C].
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise AssertionError(
                f"embed_dim must be divisible by num_heads: {embed_dim} is not by {num_heads}"
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        together = self.kdim == self.vdim == embed_dim
        weights = {
            "q_proj_weight": None if together else (embed_dim, embed_dim),
            "k_proj_weight": None if together else (embed_dim, self.kdim),
            "v_proj_weight": None if together else (embed_dim, self.vdim),
            "in_proj_weight": (3 * embed_dim, embed_dim) if together else None,
            "in_proj_bias": (3 * embed_dim,) if bias else None,
        }
        for name, shape in weights.items():
            p = None if shape is None else empty_parameter(*shape, dtype=dtype, device=device)
            self.register_parameter(name, p)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, dtype=dtype)
        for name in ("bias_k", "bias_v"):
            p = empty_parameter(1, 1, embed_dim, dtype=dtype) if add_bias_kv else None
            self.register_parameter(name, p)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for p in (self.bias_k, self.bias_v):
            if p is not None:
                init.xavier_normal_(p)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """query: [L, B, C], key and value: [S, B, C] (batch_first, or without B: see above).

        Args:
            key_padding_mask: [B, S]; True (or −inf, added) hides a key.
            attn_mask: [L, S] or [B·H, L, S]; True hides, numbers are added.
            is_causal: a promise that `attn_mask` is the causal one.

        Returns:
            The output, of the query's shape, and the weights [B, L, S], averaged over the heads
            ([B, H, L, S] otherwise), or None without `need_weights`.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        if query.array.ndim not in (2, 3):
            raise AssertionError(
                f"query should be unbatched 2D or batched 3D but received {query.array.ndim}-D"
            )
        batched = query.array.ndim == 3
        if not batched:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))  # [B, T, C]
        self._check(query, key, value)
        y, weights = self._attend(query, key, value, key_padding_mask, attn_mask, need_weights)
        if not batched:
            y = y.squeeze(0)
        elif not self.batch_first:
            y = y.transpose(0, 1)
        if weights is not None:
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights.squeeze(0)
        return y, weights

    def _check(self, query: Any, key: Any, value: Any) -> None:
        sizes = (self.embed_dim, self.kdim, self.vdim)
        for name, x, c in zip(("query", "key", "value"), (query, key, value), sizes):
            if x.array.shape[-1] != c:
                raise AssertionError(
                    f"was expecting embedding dimension of {c} for {name}, but got "
                    f"{x.array.shape[-1]}"
                )
        if key.array.shape[:2] != value.array.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.array.shape[:2]} do not match value's "
                f"{value.array.shape[:2]}"
            )

    def _attend(
        self, query: Any, key: Any, value: Any, padding: Any, mask: Any, need_weights: bool
    ) -> tuple[Any, Any]:
        batch, length, c = query.array.shape
        q, k, v = self._project(query, key, value)  # [B, T, C] each
        extra = 0
        if self.bias_k is not None:
            k = cat([k, self.bias_k.expand(batch, 1, c)], 1)
            v = cat([v, self.bias_v.expand(batch, 1, c)], 1)
            extra += 1
        if self.add_zero_attn:
            zero = wrap(np.zeros((batch, 1, c), k.array.dtype))
            k, v = cat([k, zero], 1), cat([v, zero], 1)
            extra += 1
        q, k, v = (self._heads(x) for x in (q, k, v))  # [B, H, T, D]
        added = self._added(mask, padding, batch, q.array.dtype, extra)
        p = self.dropout if self.training else 0.0
        if need_weights:
            scores = (q / math.sqrt(self.head_dim)) @ k.transpose(-2, -1)  # [B, H, L, S]
            weights = F.softmax(scores if added is None else scores + wrap(added), -1)
            weights = F.dropout(weights, p, self.training)
            y = weights @ v
        else:
            weights = None
            bias = None if added is None else wrap(added)
            y = F.scaled_dot_product_attention(q, k, v, bias, p)
        y = y.transpose(1, 2).reshape(batch, length, c)
        return self.out_proj(y), weights

    def _project(self, query: Any, key: Any, value: Any) -> list[Any]:
        c, b = self.embed_dim, self.in_proj_bias
        w = self.in_proj_weight
        if w is not None and query is key and key is value:
            return list(F.linear(query, w, b).chunk(3, -1))
        parts = (
            [w[i * c : (i + 1) * c] for i in range(3)]
            if w is not None
            else [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        )
        biases = [None if b is None else b[i * c : (i + 1) * c] for i in range(3)]
        return [F.linear(x, p, bi) for x, p, bi in zip((query, key, value), parts, biases)]

    def _heads(self, x: Any) -> Any:
        batch, steps, _ = x.array.shape
        return x.reshape(batch, steps, self.num_heads, self.head_dim).transpose(1, 2)

    def _added(
        self, mask: Any, padding: Any, batch: int, dtype: np.dtype, extra: int
    ) -> np.ndarray | None:
        """Both masks as numbers added to the scores: [L, S] or [B, H or 1, L or 1, S]."""
        found: list[np.ndarray] = []
        if mask is not None:
            a = _numbers(mask, dtype, extra)
            if a.ndim == 3:
                if a.shape[0] != batch * self.num_heads:
                    raise RuntimeError(
                        f"The shape of the 3D attn_mask is {a.shape}, but should start with "
                        f"batch · heads = {batch * self.num_heads}"
                    )
                a = a.reshape(batch, self.num_heads, *a.shape[1:])
            found.append(a)
        if padding is not None:
            found.append(_numbers(padding, dtype, extra)[:, None, None, :])
        return None if not found else found[0] if len(found) == 1 else found[0] + found[1]


def _numbers(mask: Any, dtype: np.dtype, extra: int) -> np.ndarray:
    a = mask.array
    if a.dtype == bool:
        a = np.where(a, -np.inf, 0)
    elif a.dtype.kind != "f":
        raise AssertionError(f"only bool and floating types of masks are supported, got {a.dtype}")
    a = a.astype(dtype)
    if extra:  # the keys we added are seen by all
        a = np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, extra)])
    return a
