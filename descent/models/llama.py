"""Llama: the GPT of 2023 — RMSNorm, rotary positions, grouped queries, a gated MLP.

    x ← embed[token]
    x ← x + Attention(RMSNorm(x));   x ← x + MLP(RMSNorm(x))                   n_layer times
    logits = RMSNorm(x) · lm_headᵀ

    RMSNorm(x) = x / √(mean x² + ε) · w              Zhang, Sennrich 2019, arXiv:1910.07467
    q, k turned by t · base^(−2i/D)                  Su et al. 2021 (RoPE), arXiv:2104.09864
    n_head queries share n_kv_head keys, values      Ainslie et al. 2023 (GQA), arXiv:2305.13245
    MLP(x) = down(silu(gate(x)) ⊙ up(x))             Shazeer 2020 (SwiGLU), arXiv:2002.05202

Touvron et al. 2023, arXiv:2302.13971 and 2307.09288. The switches make it Llama 2 and 3, TinyLlama,
SmolLM2, Qwen2 (`qkv_bias`), Mistral (`window`: Jiang et al. 2023, arXiv:2310.06825). Left out:
other biases, experts, dropout (none of them has any), windows in some layers only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import descent as dc
from descent import Tensor, nn
from descent.models import rotary
from descent.models.gpt import KVCache
from descent.nn import functional as F

__all__ = ["Llama", "LlamaConfig"]


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and switches. `block_size` is the longest context, in tokens."""

    vocab_size: int
    block_size: int = 256
    n_layer: int = 4
    n_head: int = 4
    n_kv_head: int | None = None  # None: as many as queries
    n_embd: int = 128
    head_dim: int | None = None  # None: n_embd / n_head
    n_hidden: int | None = None  # width of the MLP; None: 8/3 n_embd, up to a multiple of 32
    norm_eps: float = 1e-5
    rope_base: float = 10000.0
    rope_scaling: dict[str, Any] | None = None  # see `rotary.SCALINGS`
    qkv_bias: bool = False
    tie: bool = False  # lm_head shares embed's weight
    window: int | None = None  # how many tokens back attention sees, the token itself included
    activation: str = "silu"  # or "gelu_tanh"
    init_std: float = 0.02

    def __post_init__(self) -> None:
        if self.n_kv_head is None:
            object.__setattr__(self, "n_kv_head", self.n_head)
        if self.head_dim is None:
            if self.n_embd % self.n_head:
                raise ValueError(
                    "n_embd must be a multiple of n_head where head_dim is not given: got "
                    f"n_embd={self.n_embd}, n_head={self.n_head}"
                )
            object.__setattr__(self, "head_dim", self.n_embd // self.n_head)
        if self.n_hidden is None:
            object.__setattr__(self, "n_hidden", -(-8 * self.n_embd // 96) * 32)
        self._check()

    def _check(self) -> None:
        c: Any = self
        if c.n_kv_head < 1 or c.n_head % c.n_kv_head:
            raise ValueError(
                f"n_head must be a multiple of n_kv_head: got {c.n_head} and {c.n_kv_head}"
            )
        if c.head_dim < 2 or c.head_dim % 2:
            raise ValueError(f"head_dim must be even, for pairs to turn: got {c.head_dim}")
        if c.window is not None and c.window < 1:
            raise ValueError(f"window must be at least 1 token: got {c.window}")
        if c.activation not in _ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(_ACTIVATIONS)}: got {c.activation!r}"
            )
        rotary.check_scaling(c.rope_scaling)


_ACTIVATIONS = {"silu": F.silu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}


class Attention(nn.Module):
    """Every token looks at itself and at those before it; groups of queries share keys, values."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        c: Any = config
        queries, keys = c.n_head * c.head_dim, c.n_kv_head * c.head_dim
        self.q_proj = nn.Linear(c.n_embd, queries, bias=c.qkv_bias)
        self.k_proj = nn.Linear(c.n_embd, keys, bias=c.qkv_bias)
        self.v_proj = nn.Linear(c.n_embd, keys, bias=c.qkv_bias)
        self.o_proj = nn.Linear(queries, c.n_embd, bias=False)
        self.head_dim, self.window = c.head_dim, c.window

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None = None, layer: int = 0
    ) -> Tensor:
        B, T, _ = x.shape
        q, k, v = (  # B T H D
            y.view(B, T, -1, self.head_dim)
            for y in (self.q_proj(x), self.k_proj(x), self.v_proj(x))
        )
        q, k = F.rotary(q, cos, sin), F.rotary(k, cos, sin)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # B H T D
        if cache is not None:
            past = cache.layers[layer]
            if past is not None:
                k, v = dc.cat([past[0], k], 2), dc.cat([past[1], v], 2)
            cache.layers[layer] = (k, v)
        mask = self.mask(T, k.shape[2])
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None and T > 1, enable_gqa=True
        )
        return self.o_proj(y.transpose(1, 2).reshape(B, T, -1))

    def mask(self, t: int, s: int) -> Tensor | None:
        """[T, S]: which of the s tokens each of the last t sees; None: all of those before it."""
        beyond = self.window is not None and s > self.window
        if not beyond and t in (1, s):
            return None
        here, there = np.arange(s - t, s)[:, None], np.arange(s)
        seen = there <= here
        if self.window is not None:
            seen &= there > here - self.window
        return dc.from_numpy(seen)


class MLP(nn.Module):
    """down(activation(gate(x)) ⊙ up(x)): what goes through is decided per number."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        c: Any = config
        self.gate_proj = nn.Linear(c.n_embd, c.n_hidden, bias=False)
        self.up_proj = nn.Linear(c.n_embd, c.n_hidden, bias=False)
        self.down_proj = nn.Linear(c.n_hidden, c.n_embd, bias=False)
        self.activation = c.activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(_ACTIVATIONS[self.activation](self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention, then the MLP, each on the normalised stream and added to it."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(config.n_embd, eps=config.norm_eps)
        self.attn = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.n_embd, eps=config.norm_eps)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None = None, layer: int = 0
    ) -> Tensor:
        x = x + self.attn(self.attn_norm(x), cos, sin, cache, layer)
        return x + self.mlp(self.mlp_norm(x))


class Llama(nn.Module):
    """The language model. `model(idx, targets)` gives `(logits, loss)`."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.layers = nn.ModuleList([Block(config) for _ in range(config.n_layer)])
        self.norm = nn.RMSNorm(config.n_embd, eps=config.norm_eps)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self._init_weights()
        if config.tie:
            shared: Any = self.embed.weight
            self.lm_head.weight = shared

    def _init_weights(self) -> None:
        """N(0, init_std); projections into the residual stream shrink by √(2 n_layer), as GPT-2."""
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif p.ndim == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                shrink = math.sqrt(2 * self.config.n_layer) if residual else 1.0
                nn.init.normal_(p, 0.0, self.config.init_std / shrink)

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, cache: KVCache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits for the token after each of `idx`, and the mean cross-entropy when asked for.

        Args:
            idx: int64 [B, T] token ids, T ≤ block_size (cached tokens included).
            targets: int64 [B, T]; -1 is ignored.
            cache: keys and values of the tokens before `idx`; updated. With a cache, only the
                last position's logits are computed: [B, 1, V].

        Returns:
            logits [B, T, V] and the loss in nats per token (None without targets).
        """
        B, T = idx.shape
        start = 0 if cache is None else cache.length
        if start + T > self.config.block_size:
            raise ValueError(
                f"the sequence has {start + T} tokens; this model looks at no more than "
                f"block_size={self.config.block_size}"
            )
        cos, sin = self.angles(np.arange(start, start + T))
        x = self.embed(idx)  # B T C
        for i, block in enumerate(self.layers):
            x = block(x, cos, sin, cache, i)
        if cache is not None:
            cache.length = start + T
            x = x[:, -1:]
        logits = self.lm_head(self.norm(x))  # B T V
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.view(B * T, -1), targets.reshape(B * T), ignore_index=-1)
        return logits, loss

    def angles(self, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """cos and sin of the tokens at `positions`, each [T, D/2], in the weights' dtype."""
        c: Any = self.config
        both = rotary.angles(positions, c.head_dim, c.rope_base, c.rope_scaling, c.block_size)
        dtype = self.embed.weight.array.dtype
        cos, sin = (dc.from_numpy(a.astype(dtype)) for a in both)
        return cos, sin

    def get_block_size(self) -> int:
        """The longest context, in tokens."""
        return self.config.block_size

    def new_cache(self) -> KVCache:
        """An empty cache to pass to `forward` when generating token by token."""
        return KVCache(self.config.n_layer)

    def flops_per_token(self) -> int:
        """Multiply-adds × 2 of forward and backward for one token (PaLM, appendix B)."""
        c: Any = self.config
        n = sum(p.numel() for p in self.parameters())
        n -= 0 if c.tie else self.embed.weight.numel()  # looking up multiplies nothing
        return 6 * n + 12 * c.n_layer * c.n_head * c.head_dim * min(
            c.window or c.block_size, c.block_size
        )
