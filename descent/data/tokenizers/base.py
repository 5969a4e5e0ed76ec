"""What every tokenizer does: text to token ids and back, with special tokens and a file of its own.

A token is a sequence of bytes; `decode(encode(text)) == text` for every tokenizer that can say
everything and does not rewrite its text (a published one may normalise it).
A special token is never made from ordinary text unless the caller allows it (as in tiktoken).
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from descent.data.errors import DataError
from descent.data.files import readable_json, write_atomically
from descent.data.tokenizers.streaming import TextStream
from descent.data.tokenizers.vocab_dump import vocab_lines

__all__ = ["FORMAT", "AllowedSpecial", "Tokenizer", "well_formed"]

FORMAT = "descent-tokenizer.v1"
AllowedSpecial = str | set[str] | frozenset[str]


class Tokenizer:
    """The interface. A subclass has `kind`, `special_tokens`, `vocab` (id → bytes, the specials
    left out), `encode_ordinary`, `to_dict` and `from_dict`.

    Attributes:
        added_tokens: name → id of all names found in text, the special ones among them.
        bos_id, eos_id: the begin and the end token, where the files name them.
        begin_ids, end_ids: what a model of this tokenizer expects around a text.
        chat_template: Jinja source that makes a prompt of messages (see `chat`), or None.
        drop_spaces: how many leading spaces `decode` drops, because encoding puts them there.
    """

    kind = ""
    special_tokens: dict[str, int]
    added_tokens: dict[str, int]
    vocab: dict[int, bytes]
    bos_id: int | None = None
    eos_id: int | None = None
    begin_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()
    chat_template: str | None = None
    drop_spaces: int = 0

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: the number of rows an embedding needs."""
        return max([*self.vocab, *self.special_tokens.values()], default=-1) + 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size}, special={self.special_tokens})"

    def encode_ordinary(self, text: str) -> list[int]:
        """Ids of `text`; a special token's name in it is ordinary text."""
        raise NotImplementedError

    def encode(self, text: str, allowed_special: AllowedSpecial = "none_raise") -> list[int]:
        """Ids of `text`.

        Args:
            allowed_special: "all", "none" (their names are ordinary text), "none_raise" (an error
                where one occurs), or the set of names to recognise; names outside it are ordinary.
        """
        allowed = self._allowed(text, allowed_special)
        if not allowed:
            return self.encode_ordinary(text)
        longest_first = sorted(allowed, key=len, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
        ids: list[int] = []
        for index, part in enumerate(parts):
            if index % 2:  # re.split puts what the group matched at the odd places
                ids.append(self.special_tokens[part])
            elif part:
                ids.extend(self.encode_ordinary(part))
        return ids

    def _allowed(self, text: str, allowed_special: AllowedSpecial) -> Iterable[str]:
        if isinstance(allowed_special, set | frozenset):
            if unknown := sorted(allowed_special - self.special_tokens.keys()):
                raise DataError(
                    f"no special token {unknown[0]!r}; have {list(self.special_tokens)}"
                )
            return allowed_special
        if allowed_special == "all":
            return self.special_tokens
        if allowed_special == "none_raise":
            for name in self.special_tokens:
                if (place := text.find(name)) >= 0:
                    raise DataError(
                        f"the text holds the special token {name!r} at character {place}; pass "
                        'allowed_special="all" to use it or "none" to read it as plain text'
                    )
        elif allowed_special != "none":
            raise DataError(
                f'allowed_special={allowed_special!r}; use "all", "none", "none_raise" or a set'
            )
        return ()

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token."""
        return self._bytes_by_id()[self._checked(token)]

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The exact bytes of `ids`; a token may end in the middle of a character."""
        table = self._bytes_by_id()
        try:
            return b"".join([table[token] for token in ids])
        except (KeyError, TypeError):
            return b"".join([table[self._checked(token)] for token in ids])

    def encode_prompt(self, text: str, allowed_special: AllowedSpecial = "none") -> list[int]:
        """Ids of `text` with what the model expects before it (a begin token, where it has one)."""
        return [*self.begin_ids, *self.encode(text, allowed_special)]

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of `ids`; bytes that are not UTF-8 become U+FFFD.

        A space that encoding put before the text is dropped again (`drop_spaces`).
        """
        if skip_special:
            specials = set(self.special_tokens.values())
            ids = [token for token in ids if token not in specials]
        data = self.decode_bytes(ids)
        spaces = len(data[: self.drop_spaces]) - len(data[: self.drop_spaces].lstrip(b" "))
        return data[spaces:].decode("utf-8", errors="replace")

    def stream(self, *, skip_special: bool = False, inside: bool = False) -> TextStream:
        """Decode token by token; `inside`: the tokens follow others, so no leading space is
        dropped."""
        return TextStream(self, skip_special=skip_special, inside=inside)

    def ids_with_prefix(self, prefix: bytes) -> list[int]:
        """Ordinary tokens that begin with `prefix`: what may follow a prompt cut inside a token."""
        return [token for token, text in self.vocab.items() if text.startswith(prefix)]

    def _checked(self, token) -> int:
        if token not in self._bytes_by_id():
            raise DataError(
                f"invalid token id: {token!r}; this vocabulary has {self.vocab_size} ids from 0"
            )
        return token

    def _bytes_by_id(self) -> dict[int, bytes]:
        """`vocab` and the specials together, built on first use."""
        table = self.__dict__.get("_table")
        if table is None:
            specials = {token: name.encode() for name, token in self.special_tokens.items()}
            table = self._table = {**self.vocab, **specials}
        return table

    def register_special_tokens(self, special_tokens: dict[str, int]) -> None:
        """Replace the special tokens; each needs a name and an id of its own."""
        ids = list(special_tokens.values())
        for name, token in special_tokens.items():
            if not name or not isinstance(name, str):
                raise DataError("a special token needs a name of at least one character")
            if type(token) is not int or token < 0:
                raise DataError(f"special token {name!r} needs an id ≥ 0, not {token!r}")
            if token in self.vocab or ids.count(token) > 1:
                raise DataError(f"special token {name!r} has id {token}, which is already taken")
        before = self.__dict__.get("special_tokens", {})
        others = self.__dict__.get("added_tokens", {}).items()
        self.added_tokens = {n: i for n, i in others if n not in before} | special_tokens
        self.special_tokens = dict(special_tokens)
        self._table = None

    def to_dict(self) -> dict:
        """Everything needed to build the tokenizer again, as JSON values."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, value: dict) -> "Tokenizer":
        """Inverse of `to_dict`; raises DataError for what cannot be a tokenizer."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike) -> Path:
        """Write `path` (a folder: its tokenizer.json) and, beside it, a `.vocab` to read."""
        path = Path(path)
        path = path / "tokenizer.json" if path.is_dir() else path
        write_atomically(path.with_suffix(".vocab"), "\n".join(self.vocab_lines()) + "\n")
        head = {"version": FORMAT, "kind": self.kind}
        return write_atomically(path, readable_json({**head, **self.to_dict()}))

    def vocab_lines(self) -> list[str]:
        """The vocabulary for people: `[token] id`, a merge as `[left][right] -> [token] id`."""
        return vocab_lines(self._bytes_by_id(), {})


def well_formed(text: str) -> str:
    """`text` with surrogate pairs joined and lone surrogates as U+FFFD, so that it has UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
