"""Training windows over documents: where they begin, where they end, what fills them up.

    x = ids[s : s+T],  y = ids[s+1 : s+T+1]        beyond the end: x is `pad`, y is −1 (ignored)

Packed, documents follow each other with an end token between, and a window may hold the end of one
and the beginning of the next (as GPT-2 was trained). Apart, a window ends where its document ends:
right when no token says that a document is over. Either way a text shorter than a window is used
whole. The sampler is `loader.BatchSampler`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from descent.data.errors import DataError
from descent.data.loader import BatchSampler
from descent.data.shards import Spans

__all__ = ["DocumentBatches", "DocumentWindows"]


class DocumentWindows:
    """Windows of `block_size` tokens over documents.

    Args:
        tokens: one span per document (packed: any spans).
        apart: windows end with their document.
        pad: the id that fills up x.
    """

    def __init__(
        self, tokens: Spans, block_size: int, *, apart: bool = False, pad: int = 0
    ) -> None:
        if block_size < 1:
            raise DataError(f"block_size={block_size}; a window needs at least one token")
        self.tokens, self.block_size, self.apart, self.pad = tokens, block_size, apart, pad
        lengths = tokens.lengths if apart else np.array([len(tokens)])
        self.first = tokens.begins[:-1] if apart else np.array([0])  # of each document
        self.end = self.first + lengths
        usable = np.maximum(lengths - 1, 0)  # tokens that can be predicted
        self._weights = np.concatenate(([0], np.cumsum(usable)))
        if not self._weights[-1]:
            raise DataError("there are fewer than two tokens to learn from: give it more text")

    def __len__(self) -> int:
        """How many tokens can be predicted: what a draw chooses among."""
        return int(self._weights[-1])

    def drawn(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The windows x, y [B, T] that hold the tokens `numbers` [B] of 0 … len − 1: documents
        come in proportion to their length, their ends as often as their middles."""
        numbers = np.asarray(numbers, np.int64)
        document = np.searchsorted(self._weights, numbers, side="right") - 1
        start = numbers - self._weights[document] + self.first[document]
        last = np.maximum(self.end[document] - self.block_size - 1, self.first[document])
        return self.batch(np.minimum(start, last), self.end[document])

    def batch(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x and y, int64 [B, T], of windows that begin at `starts` and stop at `ends`."""
        places = starts[:, None] + np.arange(self.block_size + 1)
        inside = places < ends[:, None]
        rows = self.tokens.take(np.minimum(places, ends[:, None] - 1))
        x = np.where(inside[:, :-1], rows[:, :-1], self.pad)
        y = np.where(inside[:, 1:], rows[:, 1:], -1)
        return x, y  # (B, T) each

    def evaluation_batches(
        self, batch_size: int, max_windows: int | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Windows that do not overlap and cover all; evenly spread ones when limited."""
        per = np.maximum(-(-(self.end - self.first - 1) // self.block_size), 0)  # of each document
        before = np.concatenate(([0], np.cumsum(per)))
        chosen = np.arange(before[-1])
        if max_windows is not None and max_windows < len(chosen):
            chosen = np.linspace(0, len(chosen) - 1, max_windows).astype(np.int64)
        for at in range(0, len(chosen), batch_size):
            numbers = chosen[at : at + batch_size]
            document = np.searchsorted(before, numbers, side="right") - 1
            starts = self.first[document] + (numbers - before[document]) * self.block_size
            yield self.batch(starts, self.end[document])


class DocumentBatches:
    """Training batches drawn from windows; the state is the sampler's, plain JSON."""

    def __init__(self, windows: DocumentWindows, batch_size: int, seed: int) -> None:
        self.windows = windows
        # The sampler draws from n_tokens − block_size places.
        self.sampler = BatchSampler(
            len(windows) + windows.block_size, windows.block_size, batch_size, seed
        )

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """x [B, T] and y [B, T], int64; y is −1 where nothing is to be predicted."""
        return self.windows.drawn(self.sampler.next())

    def state(self) -> dict:
        return self.sampler.state()

    def load_state(self, state: dict) -> None:
        self.sampler.load_state(state)
