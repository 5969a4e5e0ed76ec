"""Training windows from one long row of tokens, in an order that can be saved and taken up again.

x = tokens[s : s+T], y = tokens[s+1 : s+T+1], with s drawn uniformly. The sampler owns its
generator (PCG64, O'Neill 2014), and its state is plain JSON: a resumed run draws what an
uninterrupted one would have drawn. Left out: shuffled epochs; at this size chance covers the data.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from descent.data.errors import DataError
from descent.data.text import Document
from descent.data.tokenizers.base import Tokenizer

__all__ = ["BatchSampler", "Windows", "encode_documents"]


def encode_documents(
    documents: Iterable[Document], tokenizer: Tokenizer, *, separator: str | None = None
) -> np.ndarray:
    """All documents as one row of ids, each followed by the special token `separator`.

    The dtype is uint16 where the vocabulary allows it (two bytes per token), else uint32.
    """
    end = [] if separator is None else tokenizer.encode(separator, {separator})
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    rows = [np.array(tokenizer.encode(text, "none") + end, dtype=dtype) for _, text in documents]
    return np.concatenate(rows) if rows else np.zeros(0, dtype=dtype)


class Windows:
    """Every window of `block_size` tokens and the tokens that follow each of its positions."""

    def __init__(self, tokens: np.ndarray | Sequence[int], block_size: int):
        self.tokens = np.asarray(tokens)
        self.block_size = block_size
        if self.tokens.ndim != 1 or self.tokens.dtype.kind not in "iu":
            raise DataError(
                f"tokens must be one row of integers, not {self.tokens.dtype} {self.tokens.shape}"
            )
        _check_length(len(self.tokens), block_size)

    def __len__(self) -> int:
        return len(self.tokens) - self.block_size

    def batch(self, starts: np.ndarray | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """x[B, T] and y[B, T], int64, for windows that begin at `starts`[B]."""
        starts = np.asarray(starts, dtype=np.int64)
        if starts.size and not (0 <= starts.min() and starts.max() < len(self)):
            raise DataError(f"a window must start in 0 … {len(self) - 1}; got {starts.tolist()}")
        rows = self.tokens[starts[:, None] + np.arange(self.block_size + 1)].astype(np.int64)
        return rows[:, :-1], rows[:, 1:]  # (B, T) each

    def evaluation_batches(
        self, batch_size: int, max_windows: int | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Windows that do not overlap, the same ones each time; evenly spread when limited."""
        starts = np.arange(0, len(self), self.block_size)
        if max_windows is not None and max_windows < len(starts):
            starts = starts[np.linspace(0, len(starts) - 1, max_windows).astype(np.int64)]
        for first in range(0, len(starts), batch_size):
            yield self.batch(starts[first : first + batch_size])


class BatchSampler:
    """Where each training window starts: `batch_size` independent uniform draws per step."""

    def __init__(self, n_tokens: int, block_size: int, batch_size: int, seed: int = 0):
        _check_length(n_tokens, block_size)
        if batch_size < 1:
            raise DataError(f"batch_size={batch_size}; a batch needs at least one window")
        self.n_tokens, self.block_size, self.batch_size = n_tokens, block_size, batch_size
        self.seed, self.step = seed, 0
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def next(self) -> np.ndarray:
        """The starts of the next batch, int64[B], each in 0 … n_tokens - block_size - 1."""
        self.step += 1
        return self._generator.integers(
            self.n_tokens - self.block_size, size=self.batch_size, dtype=np.int64
        )

    def state(self) -> dict:
        """All that decides the next batch, as JSON values."""
        generator = self._generator.bit_generator.state
        # 128-bit numbers as text: other JSON readers would round them.
        numbers = {key: str(number) for key, number in generator["state"].items()}
        return {**self._shape(), "step": self.step, "generator": {**generator, "state": numbers}}

    def load_state(self, state: dict) -> None:
        """Continue from `state`; an error when it belongs to other data or another batch shape."""
        for key, mine in self._shape().items():
            if state.get(key) != mine:
                raise DataError(
                    f"the saved data position has {key}={state.get(key)}, this run has {mine}; "
                    "resume with the same data and settings, or start a new run"
                )
        try:
            generator = state["generator"]
            numbers = {key: int(number) for key, number in generator["state"].items()}
            self._generator.bit_generator.state = {**generator, "state": numbers}
            self.step = int(state["step"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the saved data position is damaged: {error!r}") from None

    def _shape(self) -> dict:
        return {
            "n_tokens": self.n_tokens,
            "block_size": self.block_size,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }


def _check_length(n_tokens: int, block_size: int) -> None:
    if block_size < 1:
        raise DataError(f"block_size={block_size}; a window needs at least one token")
    if n_tokens <= block_size:
        raise DataError(
            f"the text has {n_tokens} tokens, too few for a context of {block_size}: at least "
            f"{block_size + 1} are needed; give more text or a shorter context"
        )
