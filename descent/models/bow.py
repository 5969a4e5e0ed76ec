"""Bag of words: the mean of all tokens so far, then a small MLP.

    x ← wte[token] + wpe[position]
    x ← x + mean of x_1 … x_t;   x ← x + W₂ tanh(W₁ x)
    logits = lm_head(x)

makemore's BoW: attention whose weights are all equal, so that what attention adds can be measured.
The averaging is a product with a lower triangle of 1/t (the lecture's "mathematical trick").
"""

from __future__ import annotations

from dataclasses import dataclass

import descent as dc
from descent import Tensor, nn
from descent.models.scoring import token_loss

__all__ = ["BoW", "BoWConfig"]


@dataclass(frozen=True)
class BoWConfig:
    """Sizes. `block_size` is the longest context, in tokens."""

    vocab_size: int
    block_size: int = 16
    n_embd: int = 64
    n_hidden: int = 64


class BoW(nn.Module):
    """The language model. `model(idx, targets)` gives `(logits, loss)`."""

    def __init__(self, config: BoWConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.c_fc = nn.Linear(config.n_embd, config.n_hidden)
        self.c_proj = nn.Linear(config.n_hidden, config.n_embd)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """idx: int64 [B, T] → logits [B, T, V] and the loss in nats (targets -1 are ignored)."""
        T = idx.shape[1]
        if self.config.block_size < T:
            raise ValueError(
                f"the sequence has {T} tokens; this model looks at no more than "
                f"block_size={self.config.block_size}"
            )
        x = self.wte(idx) + self.wpe(dc.arange(T))  # B T C
        mean = dc.ones(T, T).tril() / dc.arange(1, T + 1).reshape(T, 1)  # T T
        x = x + mean @ x
        x = x + self.c_proj(self.c_fc(x).tanh())
        logits = self.lm_head(x)  # B T V
        return logits, None if targets is None else token_loss(logits, targets)

    def get_block_size(self) -> int:
        """The longest context, in tokens."""
        return self.config.block_size
