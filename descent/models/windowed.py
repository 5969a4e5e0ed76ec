"""Models that see a window of the last K tokens and nothing else.

    logits[b, t] = scores(idx[b, t−K+1 … t]),   padded on the left where the text begins

A subclass says how K tokens become V scores; this turns it into a language model over sequences.
"""

from __future__ import annotations

from typing import Any

import descent as dc
from descent import Tensor, nn
from descent.models.scoring import token_loss

__all__ = ["WindowModel"]


class WindowModel(nn.Module):
    """Base of NPLM and WaveNet. `pad` is the id that stands before the beginning."""

    def __init__(self, config: Any, pad: int) -> None:
        super().__init__()
        self.config = config
        self.pad = pad

    def scores(self, windows: Tensor) -> Tensor:
        """Logits [N, V] of the token after each window, int64 [N, K]."""
        raise NotImplementedError

    def windows(self, idx: Tensor, last: int) -> Tensor:
        """The windows that end at the last `last` positions of idx [B, T]: int64 [B, last, K]."""
        B, T = idx.shape
        K = self.config.block_size
        missing = K + last - 1 - T  # tokens before the beginning that some window looks at
        if missing > 0:
            idx = dc.cat([dc.full((B, missing), self.pad, dtype=dc.int64), idx], 1)
        if last == 1:
            return idx[:, -K:].reshape(B, 1, K)
        starts = dc.arange(idx.shape[1] - K - last + 1, idx.shape[1] - K + 1)
        return idx[:, starts.reshape(last, 1) + dc.arange(K)]  # B t K

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits for the token after each of `idx`, and the mean cross-entropy when asked for.

        Args:
            idx: int64 [B, T] token ids, of any length.
            targets: int64 [B, t], t ≤ T: what follows the last t positions; -1 is ignored. With
                t < T (the lecture's examples: K tokens, one target) only those are computed.

        Returns:
            logits [B, t, V] (t = T without targets) and the loss in nats per token, or None.
        """
        B, T = idx.shape
        last = T if targets is None else targets.shape[1]
        if last > T:
            raise ValueError(
                f"{last} targets per row for {T} tokens: there can be no more than {T}"
            )
        windows = self.windows(idx, last)
        logits = self.scores(windows.reshape(B * last, self.config.block_size))
        logits = logits.reshape(B, last, self.config.vocab_size)
        return logits, None if targets is None else token_loss(logits, targets)

    def get_block_size(self) -> int:
        """The longest context, in tokens."""
        return self.config.block_size
