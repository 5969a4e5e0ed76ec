"""Added tokens: names found in the text before anything else is done with it.

A special one is recognised only where the caller allows it; another one always is. One marked
lstrip or rstrip takes the white space beside it along; single_word asks for no word character on
either side. The longest name that begins first wins, as in the `tokenizers` library.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from descent.data.errors import DataError
from descent.data.tokenizers.splits import category

__all__ = ["AddedToken", "Finder"]

_SPACES = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
_CIRCLED = [*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A)]
_CIRCLED += range(0x1F170, 0x1F18A)
_ALSO_WORD = {"\u200c", "\u200d", *map(chr, _CIRCLED)}  # joiners and circled letters
_SPACES_AFTER = re.compile(_SPACES)
_SPACES_BEFORE = re.compile(_SPACES + r"\Z")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """One added token, as `tokenizer.json` lists it."""

    id: int
    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = True

    @classmethod
    def of(cls, value: dict) -> "AddedToken":
        """From its JSON; raises DataError when it has no id or name."""
        token, content = value.get("id"), value.get("content")
        if type(token) is not int or token < 0 or not isinstance(content, str) or not content:
            raise DataError(f'"added_tokens" must have "id" and "content", not {value!r}')
        names = ("special", "lstrip", "rstrip", "single_word")
        flags = {name: bool(value.get(name)) for name in names}
        normalized = bool(value.get("normalized", not flags["special"]))
        return cls(token, content, normalized=normalized, **flags)


class Finder:
    """Cuts text at added tokens. `named`: what to look for → the token."""

    def __init__(self, named: Iterable[tuple[str, AddedToken]]):
        self.named = {name: token for name, token in named if name}
        longest_first = sorted(self.named, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def cut(self, text: str, allowed: Collection[str]) -> Iterator[str | AddedToken]:
        """Text and added tokens in order; specials not in `allowed` stay text."""
        end = 0
        for match in self._pattern.finditer(text) if self.named else ():
            token = self.named[match.group()]
            start, stop = match.span()
            if token.special and token.content not in allowed:
                continue
            if token.single_word and (_is_word(text[:start][-1:]) or _is_word(text[stop:][:1])):
                continue
            if token.lstrip and (spaces := _SPACES_BEFORE.search(text, end, start)):
                start = spaces.start()
            if token.rstrip and (spaces := _SPACES_AFTER.match(text, stop)):
                stop = spaces.end()
            if end < start:
                yield text[end:start]
            yield token
            end = stop
        if end < len(text):
            yield text[end:]


def _is_word(char: str) -> bool:
    r"""What \w is in Unicode: alphabetic, a mark, a digit, a connector or a joiner."""
    kind = category(char) if char else ""
    return kind[:1] in ("L", "M") or kind in ("Nd", "Nl", "Pc") or char in _ALSO_WORD
