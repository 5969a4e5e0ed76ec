"""Transformer: the encoder–decoder of 2017, which translates without recurrence.

    PE[t, 2i] = sin(t / 10000^(2i/C)),   PE[t, 2i + 1] = cos(t / 10000^(2i/C))
    encoder   x ← LayerNorm(x + Attention(x, x));  x ← LayerNorm(x + FFN(x))         n_layer times
    decoder   y ← LayerNorm(y + Attention(y, y≤t));  y ← LayerNorm(y + Attention(y, x));
              y ← LayerNorm(y + FFN(y))                                              n_layer times
    logits = y · Eᵀ,   loss = cross entropy with a share `smoothing` of the target spread evenly

Vaswani et al. 2017, arXiv:1706.03762: §3 (post-norm, one embedding E for source, target and head,
multiplied by √C on the way in), §5.4 (dropout on each sublayer and on the embeddings, label
smoothing: Szegedy et al. 2015, arXiv:1512.00567). Its learning rate is
`optim.schedule.inverse_sqrt`. Projections have biases, as in the authors' later code and PyTorch's
layer; left out: dropout inside attention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import descent as dc
from descent import Tensor, nn
from descent.nn import functional as F

__all__ = ["Memory", "Transformer", "TransformerConfig", "sinusoids"]


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes; the defaults are the paper's base model. Both languages share one vocabulary."""

    vocab_size: int
    block_size: int = 256  # the longest sentence, in tokens
    n_layer: int = 6  # of the encoder, and of the decoder
    n_head: int = 8
    n_embd: int = 512
    n_hidden: int = 2048
    dropout: float = 0.1
    smoothing: float = 0.1
    pad: int = 0
    bos: int = 1
    eos: int = 2

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head or self.n_embd % 2:
            raise ValueError(
                f"n_embd must be even and a multiple of n_head: got n_embd={self.n_embd}, "
                f"n_head={self.n_head}"
            )
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and below 1: got {self.smoothing}")


def sinusoids(positions: np.ndarray, n_embd: int) -> np.ndarray:
    """Position vectors, float32 [T, C]: sine and cosine in turn, wavelengths 2π … 10000 · 2π."""
    f = 10000.0 ** (-np.arange(0, n_embd, 2) / n_embd)
    angle = positions[:, None] * f  # T C/2
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(len(positions), -1).astype("f4")


class Attention(nn.Module):
    """Queries of one sequence look at keys and values of another (or the same)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        c = config.n_embd
        self.q, self.k, self.v, self.o = (nn.Linear(c, c) for _ in range(4))
        self.n_head = config.n_head

    def heads(self, x: Tensor) -> Tensor:
        """[B, T, C] → [B, H, T, D]."""
        B, T, C = x.shape
        return x.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)

    def keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of x, each [B, H, T, D]."""
        return self.heads(self.k(x)), self.heads(self.v(x))

    def forward(
        self, x: Tensor, keys: tuple[Tensor, Tensor], mask: Any = None, causal: bool = False
    ) -> Tensor:
        k, v = keys
        y = F.scaled_dot_product_attention(
            self.heads(self.q(x)), k, v, attn_mask=mask, is_causal=causal
        )
        return self.o(y.transpose(1, 2).reshape(*x.shape))


class FeedForward(nn.Module):
    """max(0, x W₁ + b₁) W₂ + b₂, for each position by itself."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.wide = nn.Linear(config.n_embd, config.n_hidden)
        self.back = nn.Linear(config.n_hidden, config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(F.relu(self.wide(x)))


class EncoderLayer(nn.Module):
    """Figure 1, left."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attn, self.ffn = Attention(config), FeedForward(config)
        self.norm_1, self.norm_2 = nn.LayerNorm(config.n_embd), nn.LayerNorm(config.n_embd)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Any) -> Tensor:
        x = self.norm_1(x + self.dropout(self.attn(x, self.attn.keys(x), mask)))
        return self.norm_2(x + self.dropout(self.ffn(x)))


class DecoderLayer(nn.Module):
    """Figure 1, right."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attn, self.cross, self.ffn = Attention(config), Attention(config), FeedForward(config)
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(config.n_embd) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, y: Tensor, keys: Any, causal: bool, source: Any, mask: Any) -> Tensor:
        """keys: of this sequence so far; source: of the encoder's output."""
        y = self.norm_1(y + self.dropout(self.attn(y, keys, causal=causal)))
        y = self.norm_2(y + self.dropout(self.cross(y, source, mask)))
        return self.norm_3(y + self.dropout(self.ffn(y)))


@dataclass
class Memory:
    """What the decoder looks at: the source, and its own output so far when it goes step by step.

    Attributes:
        mask: what to add to scores, [B, 1, 1, S]: −∞ on padding.
        source: per layer keys and values of the source, [B, H, S, D].
        past: per layer keys and values of the output so far, [B, H, T, D]; None at the start.
    """

    mask: Tensor
    source: list[tuple[Tensor, Tensor]]
    past: list[tuple[Tensor, Tensor] | None]
    length: int = 0

    def rows(self, at: np.ndarray) -> Memory:
        """The rows `at` of the batch, in that order and as often as they occur."""

        def pick(x: Tensor) -> Tensor:
            return dc.from_numpy(np.ascontiguousarray(x.array[at]))

        return Memory(
            pick(self.mask),
            [(pick(k), pick(v)) for k, v in self.source],
            [None if p is None else (pick(p[0]), pick(p[1])) for p in self.past],
            self.length,
        )


class Transformer(nn.Module):
    """The translator. `model(pairs, targets)` gives `(logits, loss)`."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.encoder = nn.ModuleList([EncoderLayer(config) for _ in range(config.n_layer)])
        self.decoder = nn.ModuleList([DecoderLayer(config) for _ in range(config.n_layer)])
        self.dropout = nn.Dropout(config.dropout)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.xavier_uniform_(p)
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
        nn.init.normal_(self.embed.weight, 0.0, config.n_embd**-0.5)  # × √C on the way in: 1

    def forward(self, pairs: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits for the word after each target word, and the loss when asked for.

        Args:
            pairs: int64 [B, 2, L]: the source, and the target with the start token before it; both
                filled up with `pad`.
            targets: int64 [B, L]: the target with the end token; -1 is ignored.

        Returns:
            logits [B, L, V] and the loss in nats per token; with label smoothing while training.
        """
        memory = self.encode(pairs[:, 0])
        logits = self.decode(pairs[:, 1], memory)
        if targets is None:
            return logits, None
        n = targets.shape[0] * targets.shape[1]
        loss = F.cross_entropy(
            logits.view(n, -1), targets.reshape(n), ignore_index=-1,
            label_smoothing=self.config.smoothing if self.training else 0.0,
        )  # fmt: skip
        return logits, loss

    def _embedded(self, ids: Tensor, start: int) -> Tensor:
        T = ids.shape[1]
        if start + T > self.config.block_size:
            raise ValueError(
                f"the sentence has {start + T} tokens; this model reads no more than "
                f"block_size={self.config.block_size}"
            )
        at = dc.from_numpy(sinusoids(np.arange(start, start + T), self.config.n_embd))
        return self.dropout(self.embed(ids) * math.sqrt(self.config.n_embd) + at)  # B T C

    def encode(self, source: Tensor) -> Memory:
        """Read the source, int64 [B, S]."""
        padding: Any = source == self.config.pad
        hidden = padding.float() * -1e9
        mask = hidden.reshape(source.shape[0], 1, 1, source.shape[1])
        x = self._embedded(source, 0)
        for layer in self.encoder:
            x = layer(x, mask)
        return Memory(mask, [d.cross.keys(x) for d in self.decoder], [None] * len(self.decoder))

    def decode(self, target: Tensor, memory: Memory, keep: bool = False) -> Tensor:
        """Logits [B, T, V] of the tokens after each of `target` [B, T].

        With `keep`, `target` follows what was decoded before, token by token (T = 1), and the
        memory is lengthened by it.
        """
        y = self._embedded(target, memory.length)
        for i, layer in enumerate(self.decoder):
            keys = layer.attn.keys(y)
            past = memory.past[i]
            if past is not None:
                keys = tuple(dc.cat([a, b], 2) for a, b in zip(past, keys))
            if keep:
                memory.past[i] = keys
            y = layer(y, keys, target.shape[1] > 1, memory.source[i], memory.mask)
        memory.length += target.shape[1] if keep else 0
        return F.linear(y, self.embed.weight)  # B T V

    def get_block_size(self) -> int:
        """The longest sentence, in tokens."""
        return self.config.block_size
