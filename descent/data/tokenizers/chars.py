"""One token per character: the smallest vocabulary, and the one the lectures begin with.

Ids follow the sorted order of the characters, so the vocabulary of a text is the same on every
machine. Special tokens come after the characters.
"""

from collections.abc import Iterable

from descent.data.errors import DataError
from descent.data.tokenizers.base import Tokenizer, well_formed

__all__ = ["CharTokenizer"]


class CharTokenizer(Tokenizer):
    """Characters as tokens.

    Args:
        chars: the vocabulary; character i has id i.
        unk: name of a special token that stands for every unknown character, e.g. "<unk>";
            without one an unknown character is an error.
        special_tokens: name → id; `unk` is added after them when it is not among them.
    """

    kind = "chars"

    def __init__(
        self,
        chars: Iterable[str],
        *,
        unk: str | None = None,
        special_tokens: dict[str, int] | None = None,
    ):
        self.chars = list(chars)
        if not self.chars:
            raise DataError(
                "a character vocabulary needs at least one character; the text is empty"
            )
        self.ids = {char: index for index, char in enumerate(self.chars)}
        if len(self.ids) < len(self.chars) or any(len(char) != 1 for char in self.ids):
            raise DataError("a character vocabulary needs distinct single characters")
        self.vocab = {index: char.encode("utf-8") for index, char in enumerate(self.chars)}
        self.special_tokens = {}
        specials = dict(special_tokens or {})
        if unk is not None and unk not in specials:
            specials[unk] = max([len(self.chars) - 1, *specials.values()]) + 1
        self.register_special_tokens(specials)
        self.unk = unk

    @classmethod
    def from_text(
        cls, text: str | Iterable[str], *, unk: str | None = None, special: Iterable[str] = ()
    ) -> "CharTokenizer":
        """The vocabulary of a text, or of several texts."""
        texts = [text] if isinstance(text, str) else text
        chars = sorted(set().union(*(well_formed(each) for each in texts)))
        specials = {name: len(chars) + index for index, name in enumerate(special)}
        return cls(chars, unk=unk, special_tokens=specials)

    def encode_ordinary(self, text: str) -> list[int]:
        text = well_formed(text)
        try:
            return [self.ids[char] for char in text]
        except KeyError as error:
            if self.unk is None:
                char = error.args[0]
                raise DataError(
                    f"character {char!r} (U+{ord(char):04X}) at position {text.index(char)} is not "
                    f"among the {len(self.chars)} characters this vocabulary was made from"
                ) from None
        unknown = self.special_tokens[self.unk]
        return [self.ids.get(char, unknown) for char in text]

    def to_dict(self) -> dict:
        return {"unk": self.unk, "special_tokens": self.special_tokens, "chars": self.chars}

    @classmethod
    def from_dict(cls, value: dict) -> "CharTokenizer":
        chars, unk = value.get("chars"), value.get("unk")
        if not isinstance(chars, list) or not all(isinstance(char, str) for char in chars):
            raise DataError('"chars" must be a list of characters')
        if unk is not None and not isinstance(unk, str):
            raise DataError('"unk" must be the name of a special token or null')
        return cls(chars, unk=unk, special_tokens=value.get("special_tokens"))
