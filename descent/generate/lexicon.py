"""What generation knows of a vocabulary: how tokens are shown, which end a text, what words are.

A token is bytes; a *special* one has a name and no bytes; an id beyond the tokenizer's vocabulary
(a model's may be padded) stands for nothing. Left out: reading text (the tokenizer's own work).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from descent.data.infill import infill_tokens
from descent.generate.drawing import log_sum_exp, top_ids
from descent.generate.protocols import Tokenizer
from descent.generate.sampling import Sampling

if TYPE_CHECKING:
    from descent.generate.constrain.guide import Guides

__all__ = ["Alternative", "Lexicon"]


class Alternative(NamedTuple):
    """A token that could have stood here. `logprob` is natural, of the untempered distribution."""

    id: int
    token: str
    logprob: float


class Lexicon:
    """A tokenizer beside a model of `vocab_size` ids, of which `eos_ids` end a text.

    `special`: id to the name it is shown by. Safe to share between threads.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocab_size: int,
        eos_ids: Collection[int] = (),
        special: Mapping[int, str] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self._n_known = tokenizer.vocab_size  # asked once: a tokenizer may have to count
        self.eos_ids = frozenset(eos_ids)
        self.special = dict(special or {})
        named: Mapping[str, int] = getattr(tokenizer, "special_tokens", None) or {}
        for name, id in named.items():
            self.special.setdefault(id, name)

    def bytes(self, id: int) -> bytes:
        """The bytes `id` adds to a text; none for special tokens and padding."""
        return b"" if id in self.special else self._raw(id) or b""

    def _raw(self, id: int) -> bytes | None:
        """None beyond the tokenizer's vocabulary, and in the gaps that some have."""
        try:
            return self.tokenizer.token_bytes(id) if id < self._n_known else None
        except (KeyError, ValueError, IndexError):
            return None

    def show(self, id: int) -> str:
        """The token's text, its special name, or `bytes:\\xe2` where it is not UTF-8 alone."""
        if id in self.special:
            return self.special[id]
        raw = self._raw(id)
        if raw is None:
            return f"<|{id}|>"
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def alternatives(
        self, logits: np.ndarray, chosen: int, n: int
    ) -> tuple[float, tuple[Alternative, ...]]:
        """The chosen token's log-probability and the n likeliest alternatives, likeliest first."""
        total = log_sum_exp(logits)
        top = tuple(
            Alternative(int(i), self.show(int(i)), float(logits[i]) - total)
            for i in top_ids(logits, n)
        )
        return float(logits[chosen]) - total, top

    def end_ids(self, sampling: Sampling) -> frozenset[int]:
        """The ids that end a completion of these settings."""
        own = frozenset() if sampling.ignore_eos else self.eos_ids
        return own | frozenset(sampling.stop_token_ids)

    def bad_words(self, sampling: Sampling) -> list[tuple[int, ...]]:
        """The settings' bad words as ids: a text as it stands alone and as it follows a space.
        The marks of filling in are never written: they belong into prompts.
        """
        words: list[tuple[int, ...]] = [(mark,) for mark in self._marks]
        for word in sampling.bad_words:
            if isinstance(word, str):
                words += [tuple(self._ids(word)), tuple(self._ids(" " + word.lstrip(" ")))]
            else:
                words.append(tuple(word))
        return list(dict.fromkeys(word for word in words if word))

    @cached_property
    def _marks(self) -> list[int]:
        return [mark for mark in infill_tokens(self.tokenizer) or () if mark < self.vocab_size]

    def _ids(self, text: str) -> list[int]:
        try:
            return self.tokenizer.encode(text)
        except (KeyError, ValueError):  # a word of letters that the vocabulary lacks never occurs
            return []

    @cached_property
    def guides(self) -> Guides:
        """Compiled constraints of this vocabulary, the latest few kept."""
        from descent.generate.constrain.guide import Guides

        return Guides(self)

    def guide(self, sampling: Sampling) -> Any:
        """A fresh `constrain.Guide` for one text, or None where the settings ask for none.

        Raises:
            ConstraintError: a pattern or schema that cannot be kept to, saying where and why.
        """
        return self.guides.start(sampling) if sampling.constraint else None
