"""Sessions over Descent's models: from the tensors of `model(idx)` to the logits of one next token.

A model with `new_cache()` (GPT) reads each token once; any other is run again on the window of the
last `get_block_size()` tokens. When a cached sequence outgrows the context, the newest half is read
again into a fresh cache, so the cost per token stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from descent import from_numpy, no_grad

if TYPE_CHECKING:
    from descent.generate.decoder import Decoder, Width

__all__ = ["CachedSession", "ModelLanguage", "WindowSession"]


class ModelLanguage:
    """A `LanguageModel` (see protocols) around an nn model in eval mode.

    Args:
        width, cache_tokens: of the `decoder`, see `Decoder.of`.
    """

    def __init__(
        self,
        model: Any,
        vocab_size: int,
        *,
        width: Width = "float32",
        cache_tokens: int | None = None,
    ) -> None:
        self.model = model
        self.vocab_size = vocab_size
        self._width: Width = width
        self._cache_tokens = cache_tokens

    @cached_property
    def decoder(self) -> Decoder | None:
        """The weights as they are now, packed for an engine; None for a kind that has no decoder.

        What is learned later does not reach it.
        """
        from descent.generate.decoder import Decoder

        try:
            decoder = Decoder.of(self.model, width=self._width, cache_tokens=self._cache_tokens)
        except ValueError:
            if self._width != "float32":
                raise
            return None
        return decoder if decoder.vocab_size == self.vocab_size else None

    @property
    def context(self) -> int | None:
        """The model's block size, in tokens."""
        return self.model.get_block_size()

    def session(self) -> CachedSession | WindowSession:
        """A fresh sequence."""
        cached = hasattr(self.model, "new_cache")
        return CachedSession(self.model) if cached else WindowSession(self.model)


def _ids(ids: Sequence[int]) -> Any:
    return from_numpy(np.asarray(ids, np.int64)[None, :])  # 1 T


class CachedSession:
    """Feeds only the new tokens; keys and values of the others are kept."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.cache = model.new_cache()
        self.block = model.get_block_size()
        self.history: list[int] = []

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """float32 logits [V] of the token after everything fed."""
        self.history.extend(int(i) for i in ids)
        new = self.history[-len(ids) :]
        if self.cache.length + len(new) > self.block:
            keep = self.block if self.cache.length == 0 else max(self.block // 2, 1)
            new = self.history = self.history[-keep:]
            self.cache = self.model.new_cache()
        with no_grad():
            logits, _ = self.model(_ids(new), cache=self.cache)
        return np.asarray(logits.array[0, -1], np.float32)


class WindowSession:
    """Runs the model on the last `block_size` tokens each time."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.block = model.get_block_size()
        self.history: list[int] = []

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """float32 logits [V] of the token after everything fed."""
        self.history = [*self.history, *(int(i) for i in ids)][-self.block :]
        with no_grad():
            logits, _ = self.model(_ids(self.history))
        return np.asarray(logits.array[0, -1], np.float32)
