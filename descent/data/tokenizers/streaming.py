"""Text token by token: a character is given out when its last byte has come, never in part.

    stream = tokenizer.stream();  text = "".join(map(stream.push, ids)) + stream.close()

gives `tokenizer.decode(ids)`.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from descent.data.tokenizers.base import Tokenizer

__all__ = ["TextStream"]


class TextStream:
    """Decodes the ids it is given, one after the other."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool, inside: bool):
        self._bytes = tokenizer.token_bytes
        self._skipped = set(tokenizer.special_tokens.values()) if skip_special else set()
        self._spaces = 0 if inside else tokenizer.drop_spaces
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The text that is certain now; "" while a character is incomplete."""
        if token in self._skipped:
            return ""
        data = self._bytes(token)
        while self._spaces and data:
            if not data.startswith(b" "):
                self._spaces = 0
                break
            data, self._spaces = data[1:], self._spaces - 1
        return self._decoder.decode(data)

    def close(self) -> str:
        """What is left of an incomplete character (U+FFFD), or ""."""
        return self._decoder.decode(b"", final=True)
