"""What generation asks of a model and of a tokenizer: three small protocols, nothing to inherit.

A `LanguageModel` opens a `Session` per sequence; the session keeps what the model remembers (KV
cache, hidden state, window of ids) and turns ids into the logits of the next token. Left out:
batching of several sequences in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

__all__ = ["LanguageModel", "Session", "Tokenizer"]


@runtime_checkable
class Session(Protocol):
    """One sequence being read or written. Used by one thread at a time."""

    def feed(self, ids: Sequence[int], /) -> np.ndarray:
        """Append `ids` (at least one) to the sequence.

        Returns float32 logits [V] for the token after everything fed so far. When the sequence
        outgrows `LanguageModel.context` the session itself forgets the oldest ids.
        """
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """Predicts the next token. `session` may be called from any thread, many at a time."""

    @property
    def context(self) -> int | None:
        """How many tokens back the model looks; None: unbounded, as a recurrent model."""
        ...

    @property
    def vocab_size(self) -> int: ...

    def session(self) -> Session: ...


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids and back; bytes, because a token may hold a part of a UTF-8 character."""

    @property
    def vocab_size(self) -> int: ...

    def encode(self, text: str, /) -> list[int]: ...

    def decode(self, ids: Sequence[int], /) -> str: ...

    def decode_bytes(self, ids: Sequence[int], /) -> bytes: ...

    def token_bytes(self, id: int, /) -> bytes: ...
