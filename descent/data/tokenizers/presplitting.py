"""What `tokenizer.json` calls the pre-tokenizer: text cut into words that no token crosses.

Known: Sequence, ByteLevel (GPT-2's cut and printable bytes), Split (a pattern), Digits,
Punctuation, WhitespaceSplit, Metaspace. Left out: Whitespace and UnicodeScripts.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial

from descent.data.errors import DataError
from descent.data.tokenizers.normalizing import text_or_regex
from descent.data.tokenizers.splits import GPT2_SPLIT_PATTERN, Splitter

__all__ = ["PreSplit"]

# A stage cuts a piece; it is told whether the piece begins the whole text.
Stage = Callable[[str, bool], list[str]]
_BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")


class PreSplit:
    """The stages of a pre-tokenizer. `byte_level`: words are then written as printable bytes."""

    def __init__(self, spec: dict | None):
        self.byte_level = False
        self.stages: list[Stage] = []
        self._add(spec)

    def _add(self, spec: dict | None) -> None:
        if spec is None:
            return
        if spec.get("type") == "Sequence":
            for each in spec["pretokenizers"]:
                self._add(each)
            return
        if self.byte_level:
            raise DataError(f"pre-tokenizer {spec.get('type')!r} after ByteLevel is not known here")
        self.stages += _stages(spec)
        self.byte_level = spec.get("type") == "ByteLevel"

    def __call__(self, text: str, first: bool) -> list[str]:
        """The words of `text`; `first` says that it begins the whole text."""
        pieces = [text]
        for stage in self.stages:
            if len(pieces) == 1:
                pieces = stage(pieces[0], first)
            else:
                cut = [stage(piece, first and not i) for i, piece in enumerate(pieces)]
                pieces = [word for words in cut for word in words]
        return pieces


def _stages(spec: dict) -> list[Stage]:
    kind = spec.get("type")
    if kind == "ByteLevel":
        prefix: list[Stage] = [_space_before] if spec.get("add_prefix_space", True) else []
        return prefix + ([_isolating(GPT2_SPLIT_PATTERN)] if spec.get("use_regex", True) else [])
    if kind == "Split":
        return [_splitting(spec["pattern"], spec["behavior"], bool(spec.get("invert")))]
    if kind == "Digits":
        return [_isolating(r"\p{N}" if spec["individual_digits"] else r"\p{N}+|\P{N}+")]
    if kind == "Punctuation":
        pattern = {"Regex": r"[!-/:-@\[-`{-~]|\p{P}"}
        return [_splitting(pattern, spec.get("behavior", "Isolated"), False)]
    if kind == "WhitespaceSplit":
        return [_splitting({"Regex": r"\s"}, "Removed", False)]
    if kind == "Metaspace":
        return [partial(_metaspace, _Metaspace(spec))]
    raise DataError(
        f"pre-tokenizer {kind!r} is not known here; known are Sequence, ByteLevel, Split, Digits, "
        "Punctuation, WhitespaceSplit and Metaspace"
    )


def _space_before(text: str, first: bool) -> list[str]:
    return [text if text.startswith(" ") else " " + text]


def _isolating(pattern: str) -> Stage:
    splitter = Splitter(pattern)

    def stage(text: str, first: bool) -> list[str]:
        chunks = splitter.chunks(text)
        if sum(map(len, chunks)) == len(text):
            return chunks
        return _grouped(text, splitter.spans(text), "Isolated", False)

    return stage


def _splitting(pattern: dict, behavior: str, invert: bool) -> Stage:
    if behavior not in _BEHAVIORS:
        raise DataError(f"Split behavior {behavior!r}; known are {', '.join(_BEHAVIORS)}")
    plain, splitter = text_or_regex(pattern)
    if plain is not None:
        found = re.compile(re.escape(plain))
        return lambda text, first: _grouped(
            text, [match.span() for match in found.finditer(text)], behavior, invert
        )
    assert splitter is not None
    if behavior == "Isolated":  # what is and what is not matched are alike
        return _isolating(splitter.pattern)
    return lambda text, first: _grouped(text, splitter.spans(text), behavior, invert)


def _grouped(text: str, spans: Iterable[tuple[int, int]], behavior: str, invert: bool) -> list[str]:
    """The pieces of `text` where `spans` match, joined or dropped as `behavior` says."""
    parts: list[tuple[str, bool]] = []
    end = 0
    for start, stop in spans:
        parts += [(text[end:start], invert), (text[start:stop], not invert)]
        end = stop
    parts.append((text[end:], invert))
    parts = [part for part in parts if part[0]]
    if behavior == "Isolated":
        return [piece for piece, _ in parts]
    if behavior == "Removed":
        return [piece for piece, is_match in parts if not is_match]
    backwards = behavior == "MergedWithNext"
    joined: list[str] = []
    before = behavior == "Contiguous" and None
    for piece, is_match in reversed(parts) if backwards else parts:
        joins = is_match == before if behavior == "Contiguous" else is_match and not before
        if joins and joined:
            joined[-1] = piece + joined[-1] if backwards else joined[-1] + piece
        else:
            joined.append(piece)
        before = is_match
    return joined[::-1] if backwards else joined


class _Metaspace:
    """Spaces become a visible mark, one may stand before the text, and words begin with it."""

    def __init__(self, spec: dict):
        self.mark: str = spec.get("replacement", "▁")
        old = "always" if spec.get("add_prefix_space", True) else "never"
        self.scheme: str = spec.get("prepend_scheme", old)
        self.split: bool = spec.get("split", True)
        if self.scheme not in ("always", "first", "never"):
            raise DataError(f"Metaspace prepend_scheme {self.scheme!r}; use always, first or never")
        self.words = re.compile(f"{re.escape(self.mark)}?[^{re.escape(self.mark)}]+|.", re.DOTALL)


def _metaspace(rule: _Metaspace, text: str, first: bool) -> list[str]:
    text = text.replace(" ", rule.mark)
    prepend = rule.scheme == "always" or (rule.scheme == "first" and first)
    if prepend and not text.startswith(rule.mark):
        text = rule.mark + text
    return rule.words.findall(text) if rule.split else [text]
