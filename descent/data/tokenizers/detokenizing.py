"""What `tokenizer.json` calls the decoder, as bytes: what one token adds to the text.

Known: ByteLevel, Metaspace, and Sequences of Replace, ByteFallback, Fuse and Strip (a space in
front). A sentence-piece decoder drops the space that its encoder put before the text; that is the
one thing that depends on where a token stands. Left out: WordPiece, CTC, BPEDecoder.
"""

import re
from dataclasses import dataclass

from descent.data.errors import DataError
from descent.data.tokenizers.byte_alphabet import from_alphabet

__all__ = ["Detokenizing"]

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass
class Detokenizing:
    """How a token's name becomes bytes, and how many leading spaces of a text are dropped."""

    byte_level: bool = False
    byte_fallback: bool = False
    replacements: tuple[tuple[str, str], ...] = ()
    drop_spaces: int = 0

    @classmethod
    def of(cls, spec: dict | None) -> "Detokenizing":
        """From its JSON; raises DataError for a decoder that is not known."""
        found = cls()
        found._add(spec)
        return found

    def _add(self, spec: dict | None) -> None:
        kind = None if spec is None else spec.get("type")
        if spec is None or kind == "Fuse":
            return
        if kind == "Sequence":
            for each in spec["decoders"]:
                self._add(each)
        elif kind == "ByteLevel":
            self.byte_level = True
        elif kind == "ByteFallback":
            self.byte_fallback = True
        elif kind == "Metaspace":
            self.replacements += ((spec.get("replacement", "▁"), " "),)
            old = "always" if spec.get("add_prefix_space", True) else "never"
            self.drop_spaces = int(spec.get("prepend_scheme", old) != "never")
        elif kind == "Replace" and "String" in spec["pattern"]:
            self.replacements += ((spec["pattern"]["String"], spec["content"]),)
        elif kind == "Strip" and spec["content"] == " " and not spec["stop"]:
            self.drop_spaces = int(spec["start"])
        else:
            raise DataError(
                f"decoder {kind!r} ({spec!r}) is not known here; known are Sequence, ByteLevel, "
                "Metaspace, Replace (of a text), ByteFallback, Fuse and Strip (of leading spaces)"
            )

    def bytes(self, token: str) -> bytes:
        """What `token` adds to the text."""
        if self.byte_level:
            return from_alphabet(token)
        if self.byte_fallback and (match := _BYTE.fullmatch(token)):
            return bytes([int(match.group(1), 16)])
        for old, new in self.replacements:
            token = token.replace(old, new)
        return token.encode("utf-8")
