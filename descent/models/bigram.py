"""Bigram network: a table of scores of every token after every other, learned by descent.

    logits_t = W[token_t]                                          W: [V, V]

One layer on a one-hot input; at its optimum it equals the bigram counts, which it is a check of.
Bengio et al. 2003 is the same idea with more context (see `nplm`).
"""

from __future__ import annotations

from dataclasses import dataclass

from descent import Tensor, nn
from descent.models.scoring import token_loss

__all__ = ["Bigram", "BigramConfig"]


@dataclass(frozen=True)
class BigramConfig:
    """`block_size` only sets how long the training windows of a text are; the context is 1."""

    vocab_size: int
    block_size: int = 1


class Bigram(nn.Module):
    """`model(idx, targets)` gives `(logits, loss)`. Every next token is equally likely at first."""

    def __init__(self, config: BigramConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.vocab_size, config.vocab_size)
        nn.init.zeros_(self.table.weight)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """idx: int64 [B, T] → logits [B, T, V] and the loss in nats (targets -1 are ignored)."""
        logits = self.table(idx)  # B T V
        return logits, None if targets is None else token_loss(logits, targets)

    def get_block_size(self) -> int:
        """The length of training windows, in tokens."""
        return self.config.block_size
