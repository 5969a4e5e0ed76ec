"""GPT: a stack of causal self-attention blocks that predicts the next token.

    x ← wte[token] + wpe[position]
    x ← x + Attention(LayerNorm(x));  x ← x + MLP(LayerNorm(x))      n_layer times
    logits = LayerNorm(x) · lm_headᵀ

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2), §2.3; attention
from Vaswani et al. 2017, arXiv:1706.03762, §3.2. Parameter names are GPT-2's. The switches at the
end of the config cover the teaching variants (makemore's Transformer, the lecture's GPT, nanoGPT).
Left out: rotary positions, grouped queries (see the Llama family).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import descent as dc
from descent import Tensor, nn
from descent.nn import functional as F

__all__ = ["GPT", "GPTConfig", "KVCache"]


@dataclass(frozen=True)
class GPTConfig:
    """Sizes and switches of a GPT. `block_size` is the longest context, in tokens."""

    vocab_size: int
    block_size: int = 64
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0
    bias: bool = True  # in Linear and LayerNorm
    qkv_bias: bool = True  # only with bias; the lecture's GPT has none here
    head_bias: bool = False
    tie: bool = True  # lm_head shares wte's weight
    activation: str = "gelu_tanh"  # or "gelu", "relu"
    init_std: float | None = 0.02  # None: each layer's own, as in makemore and the lecture
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd must be a multiple of n_head: got n_embd={self.n_embd}, "
                f"n_head={self.n_head}"
            )
        if self.activation not in _ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(_ACTIVATIONS)}: got {self.activation!r}"
            )


_ACTIVATIONS = {
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "relu": F.relu,
}


class KVCache:
    """Keys and values of the tokens read so far, per layer: [B, H, T, D] tensors."""

    def __init__(self, n_layer: int) -> None:
        self.layers: list[tuple[Tensor, Tensor] | None] = [None] * n_layer
        self.length = 0


class CausalSelfAttention(nn.Module):
    """Every token looks at itself and at those before it, with n_head independent views."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        c, bias = config.n_embd, config.bias
        self.c_attn = nn.Linear(c, 3 * c, bias=bias and config.qkv_bias)
        self.c_proj = nn.Linear(c, c, bias=bias)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.n_head, self.dropout = config.n_head, config.dropout

    def forward(self, x: Tensor, cache: KVCache | None = None, layer: int = 0) -> Tensor:
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)  # each B H T D
        mask = None
        if cache is not None:
            past = cache.layers[layer]
            if past is not None:
                k, v = dc.cat([past[0], k], 2), dc.cat([past[1], v], 2)
                if T > 1:  # row t may look at the cached tokens and at new ones up to t
                    mask = dc.ones(T, k.shape[2], dtype=dc.bool).tril(k.shape[2] - T)
            cache.layers[layer] = (k, v)
        y = F.scaled_dot_product_attention(
            q, k, v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=mask is None and T > 1,
        )  # fmt: skip
        y = y.transpose(1, 2).reshape(B, T, C)
        return self.resid_dropout(self.c_proj(y))


class MLP(nn.Module):
    """Two linear layers, four times as wide in between."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)
        self.activation = config.activation

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(_ACTIVATIONS[self.activation](self.c_fc(x))))


class Block(nn.Module):
    """Communication (attention), then computation (MLP), each added to the residual stream."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.norm_eps, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.norm_eps, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cache: KVCache | None = None, layer: int = 0) -> Tensor:
        x = x + self.attn(self.ln_1(x), cache, layer)
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """The language model. `model(idx, targets)` gives `(logits, loss)`."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.drop = nn.Dropout(config.dropout)
        self.h = nn.ModuleList([Block(config) for _ in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.norm_eps, bias=config.bias)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=config.head_bias)
        self._init_weights()
        if config.tie:
            shared: Any = self.wte.weight
            self.lm_head.weight = shared

    def _init_weights(self) -> None:
        """N(0, init_std); projections into the residual stream shrink by √(2 n_layer) (GPT-2)."""
        if self.config.init_std is None:
            return
        for name, p in self.named_parameters():
            if p.ndim < 2:
                if name.endswith("bias"):
                    nn.init.zeros_(p)
                continue
            residual = name.endswith("c_proj.weight")
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
        x = self.drop(self.wte(idx) + self.wpe(dc.arange(start, start + T)))  # B T C
        for i, block in enumerate(self.h):
            x = block(x, cache, i)
        if cache is not None:
            cache.length = start + T
            x = x[:, -1:]
        logits = self.lm_head(self.ln_f(x))  # B T V
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.view(B * T, -1), targets.reshape(B * T), ignore_index=-1)
        return logits, loss

    def get_block_size(self) -> int:
        """The longest context, in tokens."""
        return self.config.block_size

    def new_cache(self) -> KVCache:
        """An empty cache to pass to `forward` when generating token by token."""
        return KVCache(self.config.n_layer)

    def flops_per_token(self) -> int:
        """Multiply-adds × 2 of forward and backward for one token (PaLM, appendix B)."""
        c: Any = self.config
        n = sum(p.numel() for p in self.parameters()) - self.wpe.weight.numel()
        return 6 * n + 12 * c.n_layer * c.n_embd * c.block_size
