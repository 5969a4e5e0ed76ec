"""Llama's tokenizer: sentence-piece BPE. Pieces with scores, spaces as ▁, bytes as a last resort.

    "Hi you" → "▁Hi▁you" → characters → join the two neighbours whose piece scores highest, leftmost
    first, until no two neighbours are a piece → ids;  a character that is no piece → <0xE2> …

Kudo and Richardson 2018 (arXiv:1808.06226); Sennrich et al. 2016 (arXiv:1508.07909).
Left out: unigram models, normalisation tables (the Llama family has none), sampling.
"""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from descent.data.errors import DataError
from descent.data.tokenizers.base import AllowedSpecial, Tokenizer, well_formed
from descent.data.tokenizers.borders import border_pattern
from descent.data.tokenizers.bpe_encoding import ID_BITS, merge_ranked
from descent.data.tokenizers.word_bpe import byte_token

__all__ = [
    "BYTE", "CONTROL", "NORMAL", "UNKNOWN", "UNUSED", "USER_DEFINED", "Piece", "SentencePieceBPE",
]  # fmt: skip

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_SPACE = "▁"
_CACHED_WORDS = 1 << 18
_CACHED_LENGTH = 256


class Piece(NamedTuple):
    """One entry of the vocabulary; its id is its place. `type` is one of the names above."""

    text: str
    score: float = 0.0
    type: int = NORMAL


class _Joins(dict):
    """(id, id) → what the two make, as `merge_ranked` wants it; found when first asked for."""

    def __init__(self, pieces: list[Piece], ids: dict[str, int]):
        super().__init__()
        self.pieces, self.ids = pieces, ids
        scores = sorted({pieces[token].score for token in ids.values()}, reverse=True)
        self.rank = {score: rank for rank, score in enumerate(scores, start=1)}
        self.tied = len(scores) < len(ids)  # single characters, which nothing makes, have own ones

    def __missing__(self, pair: tuple[int, int]) -> int | None:
        new = self.ids.get(self.pieces[pair[0]].text + self.pieces[pair[1]].text)
        found = None if new is None else self.rank[self.pieces[new].score] << ID_BITS | new
        self[pair] = found
        return found


class SentencePieceBPE(Tokenizer):
    """Args:
    pieces: the vocabulary, in order of id.
    add_dummy_prefix: a space is put before the text (and dropped again by `decode`).
    remove_extra_whitespaces: spaces at the ends go, runs of spaces become one.
    bos_id, eos_id: the begin and end token, where there are any.
    add_bos: whether a model expects the begin token before its text.
    """

    kind = "sentencepiece"

    def __init__(
        self,
        pieces: Iterable[Piece],
        *,
        add_dummy_prefix: bool = True,
        remove_extra_whitespaces: bool = False,
        bos_id: int | None = None,
        eos_id: int | None = None,
        add_bos: bool = True,
        chat_template: str | None = None,
    ):
        self.pieces = [Piece(*piece) for piece in pieces]
        self.add_dummy_prefix = add_dummy_prefix
        self.remove_extra_whitespaces = remove_extra_whitespaces
        self.drop_spaces = 1 << 20 if remove_extra_whitespaces else int(add_dummy_prefix)
        self.chat_template = chat_template
        self.add_bos = add_bos
        self.bos_id, self.eos_id = self._checked_id(bos_id), self._checked_id(eos_id)
        self.begin_ids = (self.bos_id,) if add_bos and self.bos_id is not None else ()
        self._sort_out()
        self._cache: dict[str, list[int]] = {}

    def _checked_id(self, token: int | None) -> int | None:
        token = None if token is None or token < 0 else token
        if token is not None and token >= len(self.pieces):
            raise DataError(f"token {token} is outside the {len(self.pieces)} pieces")
        return token

    def _sort_out(self) -> None:
        """The pieces by their types."""
        specials: dict[str, int] = {}
        ids: dict[str, int] = {}
        user: dict[str, int] = {}
        bytes_found: dict[str, int] = {}
        self.vocab, self.unk_id = {}, None
        for token, (text, _, type_) in enumerate(self.pieces):
            if type_ in (UNKNOWN, CONTROL):
                specials.setdefault(text or f"<{token}>", token)
                self.unk_id = token if type_ == UNKNOWN else self.unk_id
                continue
            self.vocab[token] = text.replace(_SPACE, " ").encode("utf-8")
            if type_ == BYTE:
                bytes_found[text] = token
            elif type_ == USER_DEFINED:
                user[text] = token
            elif type_ == NORMAL and text:
                ids.setdefault(text, token)
            elif type_ != UNUSED and text:
                raise DataError(f"piece {token} ({text!r}) has type {type_}; known are 1 to 6")
        self.byte_ids = [bytes_found.get(byte_token(byte)) for byte in range(256)]
        self.byte_fallback = None not in self.byte_ids
        for byte, token in enumerate(self.byte_ids):
            if token is not None:
                self.vocab[token] = bytes([byte])
        self.register_special_tokens(specials)
        self._ids, self._user = ids, user
        self._joins = _Joins(self.pieces, ids)
        longest_first = sorted(filter(None, user), key=len, reverse=True)
        self._user_pattern = re.compile("|".join(map(re.escape, longest_first))) if user else None
        made = [text for text in ids if len(text) > 1]
        self._borders = None
        if self.byte_fallback or _SPACE in ids:
            self._borders = border_pattern(made, unknown=not self.byte_fallback)

    def normalised(self, text: str) -> str:
        """`text` as the model sees it: spaces as ▁, one in front."""
        text = well_formed(text)
        if self.remove_extra_whitespaces:
            text = re.sub("  +", " ", text.strip(" "))
        if text and self.add_dummy_prefix:
            text = " " + text
        text = text.replace(" ", _SPACE)
        return text.rstrip(_SPACE) if self.remove_extra_whitespaces else text

    def encode_ordinary(self, text: str) -> list[int]:
        return self._encode(text, ())

    def encode(self, text: str, allowed_special: AllowedSpecial = "none_raise") -> list[int]:
        return self._encode(text, set(self._allowed(text, allowed_special)))

    def _encode(self, text: str, allowed: Collection[str]) -> list[int]:
        """Text between control tokens is encoded by itself, each with a space before it."""
        if not allowed:
            return self._encode_text(self.normalised(text))
        ids: list[int] = []
        longest_first = sorted(allowed, key=len, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
        for index, part in enumerate(parts):
            if index % 2:
                ids.append(self.special_tokens[part])
            else:
                ids += self._encode_text(self.normalised(part))
        return ids

    def _encode_text(self, text: str) -> list[int]:
        if self._user_pattern is None:
            return self._encode_segment(text)
        ids: list[int] = []
        end = 0
        for match in self._user_pattern.finditer(text):
            ids += self._encode_segment(text[end : match.start()])
            ids.append(self._user[match.group()])
            end = match.end()
        return ids + self._encode_segment(text[end:])

    def _encode_segment(self, text: str) -> list[int]:
        if self._borders is None:
            return self._encode_word(text) if text else []
        ids: list[int] = []
        cache = self._cache
        for word in self._borders.findall(text):
            found = cache.get(word)
            ids += self._encode_word(word) if found is None else found
        return ids

    def _encode_word(self, word: str) -> list[int]:
        ids: list[int] = []
        known: list[int] = []
        for char in word:
            if (token := self._ids.get(char)) is not None:
                known.append(token)
                continue
            ids += self._merged(known)
            known = []
            self._append_unknown(char, ids)
        ids += self._merged(known)
        if len(word) <= _CACHED_LENGTH:
            if len(self._cache) >= _CACHED_WORDS:
                self._cache.clear()
            self._cache[word] = ids
        return ids

    def _merged(self, symbols: list[int]) -> list[int]:
        return merge_ranked(symbols, self._joins.__getitem__, tied=self._joins.tied)

    def _append_unknown(self, char: str, ids: list[int]) -> None:
        if self.byte_fallback:
            ids += [token for b in char.encode() if (token := self.byte_ids[b]) is not None]
        elif self.unk_id is None:
            raise DataError(f"no piece for {char!r}, and the vocabulary has no unknown token")
        elif ids[-1:] != [self.unk_id]:  # neighbouring unknown characters are one
            ids.append(self.unk_id)

    def to_dict(self) -> dict:
        return {
            "special_tokens": self.special_tokens,
            "add_dummy_prefix": self.add_dummy_prefix,
            "remove_extra_whitespaces": self.remove_extra_whitespaces,
            "bos_id": self.bos_id,
            "eos_id": self.eos_id,
            "add_bos": self.add_bos,
            "chat_template": self.chat_template,
            "pieces": [list(piece) for piece in self.pieces],
        }

    @classmethod
    def from_dict(cls, value: dict) -> "SentencePieceBPE":
        pieces = value.get("pieces")
        if not isinstance(pieces, list) or not all(map(_is_piece, pieces)):
            raise DataError('"pieces" must be a list of [text, score, type]')
        return cls(
            (Piece(*piece) for piece in pieces),
            add_dummy_prefix=bool(value.get("add_dummy_prefix")),
            remove_extra_whitespaces=bool(value.get("remove_extra_whitespaces")),
            bos_id=value.get("bos_id"),
            eos_id=value.get("eos_id"),
            add_bos=bool(value.get("add_bos")),
            chat_template=value.get("chat_template"),
        )


def _is_piece(value) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
        and type(value[2]) is int
    )
