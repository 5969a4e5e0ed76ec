"""minbpe's three classes under their own names, on our engine: same results, trained in seconds.

`from descent.data.tokenizers.minbpe import BasicTokenizer, RegexTokenizer, GPT4Tokenizer`
Files are minbpe's "minbpe v1" `.model` and `.vocab`. Departures: errors are DataError (a
ValueError) instead of AssertionError, and GPT4Tokenizer decodes its special
tokens too and keeps the true bytes in `vocab`.
Reference: github.com/karpathy/minbpe.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from descent.data.errors import DataError
from descent.data.files import write_atomically
from descent.data.tokenizers.base import AllowedSpecial
from descent.data.tokenizers.bpe import ByteBPE
from descent.data.tokenizers.bpe_encoding import get_stats, merge
from descent.data.tokenizers.bpe_training import train_merges
from descent.data.tokenizers.gpt import GPT4_SPECIAL_TOKENS, load_gpt4, recover_merges
from descent.data.tokenizers.splits import GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN
from descent.data.tokenizers.vocab_dump import render_token, vocab_lines

__all__ = [
    "BasicTokenizer", "RegexTokenizer", "GPT4Tokenizer",
    "GPT2_SPLIT_PATTERN", "GPT4_SPLIT_PATTERN", "GPT4_SPECIAL_TOKENS",
    "get_stats", "merge", "recover_merges", "render_token",
]  # fmt: skip

_VERSION = "minbpe v1"


class BasicTokenizer:
    """Byte-level BPE without a split pattern or special tokens."""

    def __init__(self):
        self._use(ByteBPE(pattern=None))

    def _use(self, bpe: ByteBPE) -> None:
        self._bpe = bpe
        self.pattern = bpe.pattern or ""
        self.merges = bpe.merges
        self.special_tokens = bpe.special_tokens
        self.vocab = dict(bpe.vocab)

    def train(self, text: str, vocab_size: int, verbose: bool = False) -> None:
        """Learn `vocab_size` - 256 merges from `text`; an error when it runs out of pairs."""
        wanted = vocab_size - 256
        shown: list[tuple[tuple[int, int], int]] = []
        merges = train_merges(
            self._bpe.chunks(text), wanted, on_merge=lambda i, pair, n: shown.append((pair, n))
        )
        if len(merges) < wanted:
            raise DataError(
                f"vocab_size={vocab_size} is too large for this text: after {len(merges)} merges "
                f"no pair is left; use at most {256 + len(merges)}"
            )
        self._use(ByteBPE(merges, pattern=self.pattern or None))
        for index, (pair, count) in enumerate(shown if verbose else ()):
            made = 256 + index
            print(
                f"merge {index + 1}/{wanted}: {pair} -> {made} ({self.vocab[made]}) "
                f"had {count} occurrences"
            )

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`."""
        return self._bpe.encode_ordinary(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self._bpe.decode(ids)

    def save(self, file_prefix: str) -> None:
        """Write `file_prefix`.model, to load again, and `file_prefix`.vocab, to read."""
        specials = self.special_tokens
        if any("\n" in text for text in (self.pattern, *specials)):
            raise DataError("a .model file cannot hold a pattern or special token with a newline")
        lines = [_VERSION, self.pattern, str(len(specials))]
        lines += [f"{name} {token}" for name, token in specials.items()]
        lines += [f"{a} {b}" for a, b in self.merges]
        write_atomically(f"{file_prefix}.model", "\n".join(lines) + "\n")
        self.save_vocab(f"{file_prefix}.vocab")

    def save_vocab(self, vocab_file: str | os.PathLike) -> None:
        """Write only the readable vocabulary."""
        write_atomically(vocab_file, "\n".join(vocab_lines(self.vocab, self.merges)) + "\n")

    def load(self, model_file: str | os.PathLike) -> None:
        """Take pattern, special tokens and merges from a `.model` file."""
        self._use(_read_model(Path(model_file)))
        self.vocab |= {token: name.encode() for name, token in self.special_tokens.items()}


class RegexTokenizer(BasicTokenizer):
    """Byte-level BPE inside the chunks of a split pattern, GPT-4's by default."""

    def __init__(self, pattern: str | None = None):
        self._use(ByteBPE(pattern=GPT4_SPLIT_PATTERN if pattern is None else pattern))

    def register_special_tokens(self, special_tokens: dict[str, int]) -> None:
        """Replace the special tokens, e.g. {"<|endoftext|>": 100257}."""
        self._bpe.register_special_tokens(special_tokens)
        self.special_tokens = self._bpe.special_tokens
        self.inverse_special_tokens = {token: name for name, token in special_tokens.items()}

    def encode_ordinary(self, text: str) -> list[int]:
        """Token ids of `text`, ignoring special tokens."""
        return self._bpe.encode_ordinary(text)

    def encode(self, text: str, allowed_special: AllowedSpecial = "none_raise") -> list[int]:
        """Token ids of `text`; `allowed_special` as in Tokenizer.encode."""
        return self._bpe.encode(text, allowed_special)


class GPT4Tokenizer(RegexTokenizer):
    """GPT-4's tokenizer, from cl100k_base.tiktoken (given, or fetched)."""

    def __init__(self, ranks: str | os.PathLike | None = None):
        self._use(load_gpt4(ranks))
        self.register_special_tokens(GPT4_SPECIAL_TOKENS)
        self.byte_shuffle = dict(enumerate(self._bpe.byte_ids))
        self.inverse_byte_shuffle = {token: byte for byte, token in self.byte_shuffle.items()}

    def train(self, text: str, vocab_size: int, verbose: bool = False) -> None:
        raise NotImplementedError("GPT4Tokenizer is trained already; train a RegexTokenizer")

    def save(self, file_prefix: str) -> None:
        raise NotImplementedError('"minbpe v1" cannot hold permuted bytes; use save_vocab')

    def load(self, model_file: str | os.PathLike) -> None:
        raise NotImplementedError("GPT4Tokenizer is built from its rank file; pass its path")


def _read_model(path: Path) -> ByteBPE:
    if path.suffix != ".model":
        raise DataError(f"{path} does not end in .model; pass the file that save() wrote")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text: byte {error.start} is not UTF-8") from None
    if lines[0] != _VERSION:
        raise DataError(f"{path}, line 1: expected {_VERSION!r}, found {lines[0][:40]!r}")
    number = 3
    try:
        pattern, n_special = lines[1], int(lines[2])
        specials = {}
        for number in range(4, 4 + n_special):
            name, token = lines[number - 1].rsplit(" ", 1)
            specials[name] = int(token)
        merges = []
        for number in range(4 + n_special, len(lines) + 1):
            if lines[number - 1]:
                a, b = lines[number - 1].split(" ")
                merges.append((int(a), int(b)))
    except (ValueError, IndexError):
        found = lines[number - 1][:40] if number <= len(lines) else "the end of the file"
        raise DataError(f"{path}, line {number}: expected numbers, found {found!r}") from None
    try:
        return ByteBPE(merges, pattern=pattern or None, special_tokens=specials)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
