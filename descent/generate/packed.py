"""A language model that is its decoder alone: weights packed once in one width, no modules.

What a quantised file or a bundle is served as: nothing is kept twice. Generation goes through an
engine; for explanations the bundle builds its modules. Left out: sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from descent.generate.decoder import Decoder

__all__ = ["PackedLanguage"]


class PackedLanguage:
    """A `LanguageModel` (see protocols) around a `Decoder`."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    @property
    def context(self) -> int:
        """The most tokens a sequence may have."""
        return self.decoder.context

    @property
    def vocab_size(self) -> int:
        return self.decoder.vocab_size

    def session(self) -> NoReturn:
        raise NotImplementedError("a packed model is read through an Engine, not by sessions")
