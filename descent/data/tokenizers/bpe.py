"""The byte-level BPE tokenizer: 256 bytes, a list of merges, a split pattern, special tokens.

Radford et al. 2019, section 2.2. Any text, and any bytes, can be encoded: there is no unknown
token. Left out: byte fallback and the word-boundary marks of sentencepiece.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from descent.data.errors import DataError
from descent.data.tokenizers.base import Tokenizer, well_formed
from descent.data.tokenizers.bpe_encoding import merge_all
from descent.data.tokenizers.bpe_training import train_merges
from descent.data.tokenizers.splits import CODE_SPLIT_PATTERN, Splitter
from descent.data.tokenizers.vocab_dump import vocab_lines

__all__ = ["ByteBPE", "END_OF_TEXT"]

END_OF_TEXT = "<|endoftext|>"
Pair = tuple[int, int]
_CACHED_CHUNKS = 1 << 18  # text repeats its chunks; the cache is emptied when it is this full
_CACHED_LENGTH = 256


class ByteBPE(Tokenizer):
    """Tokens 0–255 are the single bytes, token 256 + i is made by merge i.

    Args:
        merges: the pairs in order of rank.
        pattern: the split pattern, or None for no splitting.
        special_tokens: name → id, above the merges.
        byte_ids: the id of each byte where it is not the byte itself (GPT-2's and GPT-4's files
            list the bytes in an order of their own).
    """

    kind = "bpe"

    def __init__(
        self,
        merges: Iterable[Pair] = (),
        *,
        pattern: str | None = CODE_SPLIT_PATTERN,
        special_tokens: dict[str, int] | None = None,
        byte_ids: Sequence[int] | None = None,
    ):
        self.byte_ids = list(range(256)) if byte_ids is None else list(byte_ids)
        if sorted(self.byte_ids) != list(range(256)):
            raise DataError("byte_ids must list the ids 0 to 255, each once")
        self.pattern = pattern
        self.merges: dict[Pair, int] = {}
        self.vocab = {token: bytes([byte]) for byte, token in enumerate(self.byte_ids)}
        self.vocab = dict(sorted(self.vocab.items()))
        for a, b in merges:
            self._add_merge(a, b)
        self._splitter = None if pattern is None else Splitter(pattern)
        self._cache: dict[str, list[int]] = {}
        self.register_special_tokens(special_tokens or {})

    def _add_merge(self, a: int, b: int) -> None:
        new = 256 + len(self.merges)
        if a not in self.vocab or b not in self.vocab or (a, b) in self.merges:
            raise DataError(
                f"merge {new - 256}, ({a}, {b}), is repeated or names a token not made before it"
            )
        self.merges[a, b] = new
        self.vocab[new] = self.vocab[a] + self.vocab[b]

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        *,
        pattern: str | None = CODE_SPLIT_PATTERN,
        special_tokens: Sequence[str] = (END_OF_TEXT,),
        min_count: int = 2,
        on_merge: Callable[[int, Pair, int], None] | None = None,
    ) -> "ByteBPE":
        """Learn a vocabulary of `vocab_size` tokens, specials included, from a text or texts.

        A text too small to hold that many repeated pairs gives a smaller vocabulary.
        """
        smallest = 256 + len(special_tokens)
        if vocab_size < smallest:
            raise DataError(
                f"vocab_size={vocab_size} is too small: 256 bytes and {len(special_tokens)} "
                f"special tokens need at least {smallest}"
            )
        blank = cls(pattern=pattern)
        counts: Counter[str] = Counter()
        for text in [texts] if isinstance(texts, str) else texts:
            counts.update(blank.chunks(text))
        merges = train_merges(counts, vocab_size - smallest, min_count=min_count, on_merge=on_merge)
        first = 256 + len(merges)
        specials = {name: first + index for index, name in enumerate(special_tokens)}
        return cls(merges, pattern=pattern, special_tokens=specials)

    def chunks(self, text: str) -> list[str]:
        """The pieces no token crosses; joined they are `text` again."""
        text = well_formed(text)
        if self._splitter is None:
            return [text] if text else []
        chunks = self._splitter.chunks(text)
        if sum(map(len, chunks)) != len(text):
            raise DataError(
                f"split pattern {self.pattern!r} does not match all of the text; add an "
                "alternative such as |\\s+|. so that no character is lost"
            )
        return chunks

    def encode_ordinary(self, text: str) -> list[int]:
        ids: list[int] = []
        cache = self._cache
        for chunk in self.chunks(text):
            found = cache.get(chunk)
            ids += self._encode_chunk(chunk) if found is None else found
        return ids

    def _encode_chunk(self, chunk: str) -> list[int]:
        byte_ids = self.byte_ids
        ids = merge_all([byte_ids[byte] for byte in chunk.encode("utf-8")], self.merges)
        if len(chunk) <= _CACHED_LENGTH:
            if len(self._cache) >= _CACHED_CHUNKS:
                self._cache.clear()
            self._cache[chunk] = ids
        return ids

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of bytes that need not be text; not split, so slower and with longer tokens."""
        return merge_all([self.byte_ids[byte] for byte in data], self.merges)

    def vocab_lines(self) -> list[str]:
        return vocab_lines(self._bytes_by_id(), self.merges)

    def to_dict(self) -> dict:
        permuted = self.byte_ids != list(range(256))
        return {
            "pattern": self.pattern,
            "special_tokens": self.special_tokens,
            **({"byte_ids": self.byte_ids} if permuted else {}),
            "merges": [list(pair) for pair in self.merges],
        }

    @classmethod
    def from_dict(cls, value: dict) -> "ByteBPE":
        merges, pattern, byte_ids = (value.get(k) for k in ("merges", "pattern", "byte_ids"))
        if not isinstance(merges, list) or not all(
            _is_ids(pair) and len(pair) == 2 for pair in merges
        ):
            raise DataError('"merges" must be a list of pairs of ids')
        if pattern is not None and not isinstance(pattern, str):
            raise DataError('"pattern" must be a regular expression or null')
        if byte_ids is not None and not _is_ids(byte_ids):
            raise DataError('"byte_ids" must be a list of ids')
        return cls(
            (tuple(pair) for pair in merges),
            pattern=pattern,
            special_tokens=value.get("special_tokens"),
            byte_ids=byte_ids,
        )


def _is_ids(value) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)
