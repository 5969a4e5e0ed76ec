"""The slow decoder: the same paged interface around any model, which is run again on whole texts.

    logits of row i = f(ids of its sequence, 0 … position i)

What it keeps in its cache blocks is the token ids themselves, so a block freed too early, shared
wrongly or not copied before a write shows in the result. A row's logits depend on its own ids
alone, bit for bit, whatever is computed beside it: the oracle for everything that schedules.
Left out: speed, and `hidden` (an unknown model has no known last layer).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ReferenceDecoder"]


class ReferenceDecoder:
    """Blocks of token ids around `forward`: int64 ids [T] → float logits [V] of the next token.

    Args:
        context: the most ids of one sequence.
        cache_tokens: how many tokens all sequences together may hold.
    """

    def __init__(
        self,
        forward: Callable[[np.ndarray], np.ndarray],
        *,
        vocab_size: int,
        context: int,
        cache_tokens: int | None = None,
        block_tokens: int = 16,
    ) -> None:
        self.forward = forward
        self.vocab_size = vocab_size
        self.context = context
        self.block_tokens = block_tokens
        cache_tokens = 8 * context if cache_tokens is None else cache_tokens
        self.n_blocks = max(cache_tokens // block_tokens, 1)
        self.ids = np.full((self.n_blocks, block_tokens), -1, np.int64)  # −1: never written

    @classmethod
    def of(cls, model: Any, **sizes: Any) -> ReferenceDecoder:
        """Around an nn model with `model(idx) -> (logits [1, T, V], loss)` and a block size."""
        from descent import from_numpy, no_grad

        def forward(ids: np.ndarray) -> np.ndarray:
            with no_grad():
                logits, _ = model(from_numpy(ids[None, :]))
            return logits.array[0, -1]

        sizes.setdefault("context", model.get_block_size())
        sizes.setdefault("vocab_size", model.config.vocab_size)
        return cls(forward, **sizes)

    def step(
        self,
        tokens: np.ndarray,
        positions: np.ndarray,
        sequence: np.ndarray,
        tables: np.ndarray,
        wanted: np.ndarray,
    ) -> np.ndarray:
        """Write the tokens [N] into their blocks; float32 logits [M, V] of the rows `wanted`.

        `positions` [N] from 0 in each sequence; `sequence` [N] names each token's row of `tables`
        [S, blocks], the numbers of the blocks that hold that sequence, in order.
        """
        size = self.block_tokens
        if positions.size and int(positions.max()) >= self.context:
            raise ValueError(
                f"position {int(positions.max())} is outside the context 0…{self.context - 1}"
            )
        self.ids[tables[sequence, positions // size], positions % size] = tokens
        rows = np.empty((len(wanted), self.vocab_size), np.float32)
        for out, row in enumerate(wanted):
            at = np.arange(int(positions[row]) + 1)
            ids = self.ids[tables[sequence[row], at // size], at % size]
            if (ids < 0).any():
                raise ValueError(f"sequence {sequence[row]} reads a place that was never written")
            rows[out] = self.forward(ids)
        return rows

    def copy_block(self, src: int, dst: int) -> None:
        """Make block `dst` hold what `src` holds."""
        self.ids[dst] = self.ids[src]
