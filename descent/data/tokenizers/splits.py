r"""How text is cut into chunks before bytes are merged: no token ever crosses a chunk's edge.

GPT-2 and GPT-4 publish their cuts as regular expressions over Unicode classes (\p{L} letters,
\p{N} numbers). The standard `re` does not know those classes, so a pattern is rewritten with
explicit ranges taken from `unicodedata`. Reference: Radford et al. 2019, section 2.2.

`unicodedata` grows with Python, a tokenizer must not: ranges added between Unicode 14 (Python 3.11)
and 16 (tiktoken 0.14) are listed here, so every Python ≥ 3.11 cuts the same text the same way.
The other general categories (\p{Lu}, \p{P}, …) are this Python's. Left out: scripts, set
operations, grapheme clusters.
"""

import re
import unicodedata
import warnings
from functools import cache, lru_cache

from descent.data.errors import DataError

__all__ = [
    "CODE_SPLIT_PATTERN", "GPT2_SPLIT_PATTERN", "GPT4_SPLIT_PATTERN", "LLAMA3_SPLIT_PATTERN",
    "Splitter", "category",
]  # fmt: skip

GPT2_SPLIT_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT4_SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Ours, for source code that is completed while it is typed: a chunk ends wherever a programmer
# pauses. A newline stands alone, indentation is one chunk, and a dot or bracket is not glued to
# the name after it, so that "self." and "if x:\n" end where training text also had an edge.
CODE_SPLIT_PATTERN = r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\r?\n|\r|[^\S\r\n]+"

_ASCII, _BMP, _ALL = 0x7F, 0xFFFF, 0x10FFFF
# White_Space of Unicode; `str.isspace` and re's \s also count the separators U+001C–U+001F.
_WHITESPACE = (
    (0x09, 0x0D), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
_SINCE_UNICODE_14 = {
    "L": """1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4
        1123F-11240 11380-11389 1138B-1138B 1138E-1138E 11390-113B5 113B7-113B7 113D1-113D1
        113D3-113D3 11BC0-11BE0 11F02-11F02 11F04-11F10 11F12-11F33 1342F-1342F 13441-13446
        13460-143FA 16100-1611D 16D40-16D6C 18CFF-18CFF 1B132-1B132 1B155-1B155 1DF25-1DF2A
        1E030-1E06D 1E4D0-1E4EB 1E5D0-1E5ED 1E5F0-1E5F0 2B739-2B739 2EBF0-2EE5D 31350-323AF""",
    "N": """10D40-10D49 116D0-116E3 11BF0-11BF9 11F50-11F59 16130-16139 16D70-16D79 1CCF0-1CCF9
        1D2C0-1D2D3 1E4F0-1E4F9 1E5F1-1E5FA""",
}
_NOWHERE = ((0x10FFFF, 0x10FFFF),)  # for a class without a member in the text at hand
_STAND_IN = {"L": "ª", "N": "²"}  # of the same class, inside the BMP, without an ASCII case partner
_OTHER_STAND_IN = "¡"
_CATEGORIES = re.compile("L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfson]?")
_OTHER_CLASS = re.compile(r"\\[pP]\{(?![LN]\})")
_UNLIKE = re.compile(r"&&|\[:|\\[zZAGhHRXxK]")  # these mean something else in other dialects
_PIECE = re.compile(r"\\[pP]\{(\w+)\}|\\[pP]|\\.|\[\^?|.", re.DOTALL)


class Splitter:
    """A split pattern, compiled for `re`.

    Three forms are kept because a class with hundreds of ranges is slow: one for ASCII text, one
    for text inside the BMP; rarer text is mapped onto the BMP first, class by class.
    """

    def __init__(self, pattern: str):
        self.pattern = pattern
        _compile(pattern, _ASCII)  # a bad pattern is reported here, not in the middle of a run

    def __repr__(self) -> str:
        return f"Splitter({self.pattern!r})"

    def chunks(self, text: str) -> list[str]:
        """The chunks of `text` in order. Text the pattern does not match is left out."""
        if text.isascii():
            return _find(_compile(self.pattern, _ASCII), text)
        if max(text) <= "\uffff":
            return _find(_compile(self.pattern, _BMP), text)
        if _names_more(self.pattern):  # than stand-ins of letters and numbers can tell
            return _find(_compile(self.pattern, _ALL), text)
        mapped = re.sub("[\U00010000-\U0010ffff]", _stand_in, text)
        found = _compile(self.pattern, _BMP).finditer(mapped)
        return [text[match.start() : match.end()] for match in found]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the pattern matches: start and end of each match that is not empty."""
        limit = _ASCII if text.isascii() else _BMP if max(text) <= "\uffff" else _ALL
        found = (match.span() for match in _compile(self.pattern, limit).finditer(text))
        return [(start, stop) for start, stop in found if start < stop]


def _find(pattern: re.Pattern, text: str) -> list[str]:
    if pattern.groups:  # findall would return the groups
        return [match.group() for match in pattern.finditer(text)]
    return pattern.findall(text)


@cache
def _names_more(pattern: str) -> bool:
    return not pattern.isascii() or "\\U" in pattern or bool(_OTHER_CLASS.search(pattern))


@lru_cache(maxsize=4096)
def _astral_stand_in(char: str) -> str:
    return _STAND_IN.get(category(char)[0], _OTHER_STAND_IN)


def _stand_in(match: re.Match) -> str:
    return _astral_stand_in(match.group())


def _newer(name: str) -> list[tuple[int, int]]:
    """Ranges that joined a class after Unicode 14."""
    pairs = (item.split("-") for item in _SINCE_UNICODE_14.get(name, "").split())
    return [(int(low, 16), int(high, 16)) for low, high in pairs]


@cache
def class_ranges(name: str, limit: int) -> tuple[tuple[int, int], ...]:
    """The code points ≤ `limit` of a general category (`L`, `Lu`, …): inclusive ranges."""
    codes = {c for c in range(limit + 1) if unicodedata.category(chr(c)).startswith(name)}
    for low, high in _newer(name):
        codes.update(range(low, min(high, limit) + 1))
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return tuple((low, high) for low, high in ranges)


def category(char: str) -> str:
    """The general category of a character; of newer letters and numbers "L" and "N" alone."""
    found = unicodedata.category(char)
    if found != "Cn":
        return found
    code = ord(char)
    names = (n for n in _SINCE_UNICODE_14 if any(a <= code <= b for a, b in _newer(n)))
    return next(names, found)


@cache
def _compile(pattern: str, limit: int) -> re.Pattern:
    if found := _UNLIKE.search(pattern):
        raise DataError(f"split pattern {pattern!r} uses {found.group()}, which is not known here")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a set inside a set
            return re.compile(_translate(pattern, limit))
    except (re.error, FutureWarning) as error:
        raise DataError(f"split pattern {pattern!r} is not a regular expression: {error}") from None


def _translate(pattern: str, limit: int) -> str:
    r"""Rewrite \p{L}, \p{N}, \s and their complements as ranges of code points up to `limit`."""
    out: list[str] = []
    in_class = False
    for match in _PIECE.finditer(pattern):
        piece = match.group()
        ranges = _named_ranges(piece, match.group(1), pattern, limit)
        if ranges is not None:
            text = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges or _NOWHERE)
            piece = text if in_class else f"[{text}]"
        elif in_class:
            if piece[0] == "[":
                raise DataError(f"split pattern {pattern!r} has a set inside a set; not known here")
            in_class = piece != "]" or out[-1] in ("[", "[^")  # a first "]" is a plain character
        else:
            in_class = piece in ("[", "[^")
        out.append(piece)
    return "".join(out)


def _named_ranges(piece: str, name: str | None, pattern: str, limit: int):
    """The ranges a piece of a pattern stands for, or None for a piece that stays as it is."""
    if piece[:2] in ("\\p", "\\P"):
        if name is None or not _CATEGORIES.fullmatch(name):
            raise DataError(
                f"split pattern {pattern!r} uses {piece}; only general categories, "
                "like \\p{L} and \\p{Lu}, are known here"
            )
        ranges = class_ranges(name, limit)
    elif piece in ("\\s", "\\S"):
        ranges = tuple((low, min(high, limit)) for low, high in _WHITESPACE if low <= limit)
    else:
        return None
    return _complement(ranges, limit) if piece[1].isupper() else ranges


def _complement(ranges, limit: int) -> tuple[tuple[int, int], ...]:
    lows = [0, *(high + 1 for _, high in ranges)]
    highs = [*(low - 1 for low, _ in ranges), limit]
    return tuple((low, high) for low, high in zip(lows, highs) if low <= high)
