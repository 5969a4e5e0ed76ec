"""OpenAI's published tokenizers from their own files: GPT-2's two and GPT-4's rank list.

GPT-2: encoder.json (token → id) and vocab.bpe (the merges), bytes written as printable characters
(github.com/openai/gpt-2, src/encoder.py). GPT-4: cl100k_base.tiktoken, one line `base64 rank` per
token; the merges are not in it, but encoding each token with the merges before it leaves exactly
the two parts it was made of.
"""

import base64
import binascii
import json
import os
from pathlib import Path

from descent.data.errors import DataError
from descent.data.fetch import fetch
from descent.data.tokenizers.bpe import END_OF_TEXT, ByteBPE
from descent.data.tokenizers.bpe_encoding import merge_all
from descent.data.tokenizers.byte_alphabet import ALPHABET
from descent.data.tokenizers.splits import GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN

__all__ = ["GPT4_SPECIAL_TOKENS", "load_gpt2", "load_gpt4", "load_ranks", "recover_merges"]

GPT4_SPECIAL_TOKENS = {
    END_OF_TEXT: 100257,
    "<|fim_prefix|>": 100258,
    "<|fim_middle|>": 100259,
    "<|fim_suffix|>": 100260,
    "<|endofprompt|>": 100276,
}
_Path = str | os.PathLike


def load_gpt2(encoder_json: _Path | None = None, vocab_bpe: _Path | None = None) -> ByteBPE:
    """GPT-2's tokenizer, 50,257 tokens, from its two files (fetched when not given)."""
    encoder_path = Path(fetch("gpt2-encoder.json") if encoder_json is None else encoder_json)
    merges_path = Path(fetch("gpt2-vocab.bpe") if vocab_bpe is None else vocab_bpe)
    try:
        ids = json.loads(_read(encoder_path))
        lines = _read(merges_path).decode("utf-8").split("\n")
        pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
        merges = [(ids[a], ids[b]) for a, b in pairs]
        made = [ids[a + b] for a, b in pairs]
        byte_ids = [ids[char] for char in ALPHABET]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{encoder_path} and {merges_path} are not GPT-2's two tokenizer files: {error!r}"
        ) from None
    if made != list(range(256, 256 + len(merges))):
        raise DataError(f"{encoder_path} does not number the merges of {merges_path} in order")
    return ByteBPE(
        merges,
        pattern=GPT2_SPLIT_PATTERN,
        special_tokens={END_OF_TEXT: 256 + len(merges)},
        byte_ids=byte_ids,
    )


def load_gpt4(ranks: _Path | None = None) -> ByteBPE:
    """GPT-4's tokenizer (cl100k_base, 100,277 ids) from its rank file (fetched when not given)."""
    table = load_ranks(fetch("cl100k_base.tiktoken") if ranks is None else ranks)
    return ByteBPE(
        recover_merges(table),
        pattern=GPT4_SPLIT_PATTERN,
        special_tokens=GPT4_SPECIAL_TOKENS,
        byte_ids=[table[bytes([byte])] for byte in range(256)],
    )


def load_ranks(path: _Path) -> dict[bytes, int]:
    """Token → rank from a .tiktoken file, in order of rank."""
    path = Path(path)
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise DataError(
                f"{path}, line {number}: expected `base64 rank`, found {line[:40]!r}"
            ) from None
    ordered = dict(sorted(ranks.items(), key=lambda item: item[1]))
    bytes_first = {bytes([byte]) for byte in range(256)} == set(list(ordered)[:256])
    if not bytes_first or list(ordered.values()) != list(range(len(ordered))):
        raise DataError(f"{path}: ranks must count from 0 without gaps, the 256 bytes first")
    return ordered


def recover_merges(ranks: dict[bytes, int]) -> dict[tuple[int, int], int]:
    """The merge (id, id) → rank that makes each token of `ranks` (in order, the bytes first)."""
    merges: dict[tuple[int, int], int] = {}
    for token, rank in ranks.items():
        if len(token) == 1:
            continue
        parts = merge_all([ranks[token[i : i + 1]] for i in range(len(token))], merges)
        if len(parts) != 2:
            raise DataError(f"token {rank} ({token!r}) is not made of two earlier tokens")
        merges[parts[0], parts[1]] = rank
    return merges


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
