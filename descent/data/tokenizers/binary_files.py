"""The two binary vocabularies of the C programs: llama2.c's and llm.c's `tokenizer.bin`.

    llama2.c  int32 longest token; then for each: float32 score, int32 length, bytes
    llm.c     256 int32 (magic 20240328, version, vocabulary, end of text); then uint8 length, bytes

llama2.c writes its begin and end tokens as "\\n<s>\\n" and "\\n</s>\\n" and spaces as spaces
(github.com/karpathy/llama2.c, tokenizer.py). llm.c's file has no merges; where it is a rank list
(GPT-2's and GPT-4's are) they are found again from the order of the tokens.
"""

import os
import struct
from pathlib import Path

from descent.data.errors import DataError
from descent.data.files import write_atomically
from descent.data.tokenizers.base import Tokenizer
from descent.data.tokenizers.bpe import END_OF_TEXT, ByteBPE
from descent.data.tokenizers.files import read_tokenizer_file
from descent.data.tokenizers.gpt import recover_merges
from descent.data.tokenizers.sentencepiece import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    Piece,
    SentencePieceBPE,
)
from descent.data.tokenizers.splits import GPT2_SPLIT_PATTERN
from descent.data.tokenizers.word_bpe import byte_token

__all__ = ["LLMC_MAGIC", "load_llama2c", "load_llmc", "save_llama2c", "save_llmc"]

LLMC_MAGIC = 20240328
_HEADER = 256
_BOS, _EOS = 1, 2
_Path = str | os.PathLike


def load_llama2c(path: _Path) -> SentencePieceBPE:
    """The tokenizer in llama2.c's `tokenizer.bin`: ids 0 unknown, 1 begin, 2 end, 3–258 bytes."""
    path = Path(path)
    data = read_tokenizer_file(path)
    pieces: list[Piece] = []
    at = 4
    while at < len(data):
        if at + 8 > len(data):
            raise DataError(f"{path}, byte {at}: the file ends inside a token")
        score, size = struct.unpack_from("<fi", data, at)
        if not 0 <= size <= len(data) - at - 8:
            raise DataError(f"{path}, byte {at + 4}: a token of {size} bytes does not fit the file")
        try:
            text = data[at + 8 : at + 8 + size].decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path}, byte {at + 8}: token {len(pieces)} is not UTF-8") from None
        pieces.append(_llama2c_piece(len(pieces), text, score))
        at += 8 + size
    if len(pieces) < 259 or pieces[258].type != BYTE:
        raise DataError(
            f"{path} is not llama2.c's tokenizer: its tokens 3 to 258 are not the bytes"
        )
    return SentencePieceBPE(pieces, bos_id=_BOS, eos_id=_EOS)


def _llama2c_piece(token: int, text: str, score: float) -> Piece:
    if token <= _EOS:
        return Piece(text.strip("\n"), score, CONTROL if token else UNKNOWN)
    if token < 259 and text == byte_token(token - 3):
        return Piece(text, score, BYTE)
    return Piece(text.replace(" ", "▁"), score, NORMAL)


def save_llama2c(tokenizer: SentencePieceBPE, path: _Path) -> Path:
    """Write `path` for llama2.c's run.c; its ids 0 to 258 must be as `load_llama2c` says."""
    if tokenizer.bos_id != _BOS or tokenizer.eos_id != _EOS or tokenizer.byte_ids[0] != 3:
        raise DataError("llama2.c needs the begin token at id 1, the end at 2, the bytes from 3 on")
    parts = []
    for token, (text, score, _) in enumerate(tokenizer.pieces):
        text = f"\n{text}\n" if token in (_BOS, _EOS) else text.replace("▁", " ")
        parts.append((score, text.encode("utf-8")))
    longest = max(len(text) for _, text in parts)
    rows = (struct.pack("<fi", score, len(text)) + text for score, text in parts)
    return write_atomically(path, b"".join([struct.pack("<i", longest), *rows]))


def load_llmc(path: _Path, *, pattern: str | None = GPT2_SPLIT_PATTERN) -> ByteBPE:
    """The tokenizer in llm.c's file; `pattern` is its split pattern, which the file lacks."""
    path = Path(path)
    data = read_tokenizer_file(path)
    if len(data) < 4 * _HEADER or struct.unpack_from("<I", data)[0] != LLMC_MAGIC:
        raise DataError(f"{path} is not llm.c's tokenizer: it does not begin with {LLMC_MAGIC}")
    _, version, size, end = struct.unpack_from("<4I", data)
    if version not in (1, 2) or not 256 <= size <= len(data) - 4 * _HEADER:
        raise DataError(
            f"{path}: version {version} with {size} tokens is not known or does not fit"
        )
    end = 50256 if version == 1 else end
    tokens: list[bytes] = []
    at = 4 * _HEADER
    for token in range(size):
        if at >= len(data) or at + 1 + data[at] > len(data):
            raise DataError(f"{path}, byte {at}: the file ends inside token {token} of {size}")
        tokens.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return _from_ranks(tokens, end, pattern, path)


def _from_ranks(tokens: list[bytes], end: int, pattern: str | None, path: Path) -> ByteBPE:
    ranks = {text: token for token, text in enumerate(tokens) if token < end}
    if len(ranks) < min(end, len(tokens)) or {bytes([b]) for b in range(256)} != set(tokens[:256]):
        raise DataError(f"{path}: a token repeats, or the first 256 are not the bytes")
    specials = {
        text.decode("utf-8", errors="replace") or END_OF_TEXT: token
        for token, text in enumerate(tokens)
        if token >= end
    }
    try:
        merges = recover_merges(ranks)
        byte_ids = [ranks[bytes([byte])] for byte in range(256)]
        return ByteBPE(merges, pattern=pattern, special_tokens=specials, byte_ids=byte_ids)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def save_llmc(tokenizer: Tokenizer, path: _Path, *, end_of_text: int | None = None) -> Path:
    """Write `path` for llm.c, which needs it to print text; tokens have at most 255 bytes."""
    if end_of_text is None:
        end_of_text = tokenizer.special_tokens.get(END_OF_TEXT, tokenizer.eos_id)
    if end_of_text is None:
        raise DataError(f"llm.c needs an end token; this vocabulary has no {END_OF_TEXT}")
    specials = {token: name.encode() for name, token in tokenizer.special_tokens.items()}
    rows = []
    for token in range(tokenizer.vocab_size):
        text = specials.get(token) or tokenizer.vocab.get(token, b"")
        if len(text) > 255:
            raise DataError(f"token {token} has {len(text)} bytes; llm.c's file holds at most 255")
        rows.append(bytes([len(text)]) + text)
    header = [LLMC_MAGIC, 2, tokenizer.vocab_size, end_of_text] + [0] * (_HEADER - 4)
    return write_atomically(path, struct.pack(f"<{_HEADER}I", *header) + b"".join(rows))
