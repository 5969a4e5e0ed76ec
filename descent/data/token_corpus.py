"""A user's data as token ids on disk: encoded once, split, read in place ever after.

    tokens.bin            every document, start and end tokens included, one after the other
    documents.safetensors which stretches are to learn from and which are held out

With five documents or more, whole documents are held out, drawn by the seed until their tokens make
up the share; with fewer, the end of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from descent.data.documents import Piece
from descent.data.errors import DataError
from descent.data.files import write_atomically
from descent.data.shards import Spans, TokenWriter, open_tokens
from descent.data.windows import DocumentWindows

__all__ = ["TokenCorpus", "Wrap", "build_corpus", "hold_out", "load_corpus", "wrap_with"]

TOKENS, SPANS = "tokens.bin", "documents.safetensors"
_FEW = 5
_BATCH_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Wrap:
    """Ids put before and after every document."""

    start: tuple[int, ...] = ()
    end: tuple[int, ...] = ()


@dataclass(frozen=True)
class TokenCorpus:
    """Documents to learn from and documents held out, as stretches of one row of ids.

    `apart`: documents have no end token, so windows may not run from one into the next.
    """

    train: Spans
    val: Spans
    val_bytes: int
    apart: bool
    pad: int

    def windows(self, block_size: int, *, held_out: bool = False) -> DocumentWindows:
        """Windows over the documents to learn from, or over those held out."""
        spans = self.val if held_out else self.train
        return DocumentWindows(spans, block_size, apart=self.apart, pad=self.pad)

    @property
    def has_val(self) -> bool:
        return bool((self.val.lengths > 1).any())


def wrap_with(tokenizer: Any, start: str | None, end: str | None) -> Wrap:
    """The ids of a start and an end token; a name that the tokenizer does not know as one token is
    encoded as the text it is (gpt-2-simple's `<|startoftext|>`)."""

    def ids(text: str | None) -> tuple[int, ...]:
        if not text:
            return ()
        known = tokenizer.special_tokens.get(text)
        return (known,) if known is not None else tuple(tokenizer.encode(text, "none"))

    return Wrap(ids(start), ids(end))


def build_corpus(
    folder: Path,
    found: Iterable[Piece],
    tokenizer: Any,
    vocab_size: int,
    wrap: Wrap,
    *,
    val_fraction: float,
    seed: int,
    pad: int = 0,
) -> Iterator[int | TokenCorpus]:
    """Encode documents into `folder`; yields the number of tokens so far, at last the corpus.

    Raises:
        DataError: no text, or ids that the model does not know.
    """
    starts, sizes = [0], []  # where each document begins, and its bytes
    with TokenWriter(folder / TOKENS, vocab_size) as out:
        fresh, n_bytes = True, 0
        for piece in found:
            if piece.ids is not None:
                top = int(piece.ids.max(initial=0))
                if top >= vocab_size:
                    raise DataError(
                        f"{piece.name} holds token {top}, the model knows 0 … {vocab_size - 1}: "
                        "it was encoded for another model"
                    )
                out.write(piece.ids)
                n_bytes = int(_bytes_per_token(tokenizer, piece.ids) * len(piece.ids))
            else:
                if fresh:
                    out.write(wrap.start)
                n_bytes += _write_text(out, tokenizer, piece.text)
                fresh = not piece.more
                if piece.more:
                    yield out.count
                    continue
                out.write(wrap.end)
            starts.append(out.count)
            sizes.append(n_bytes)
            fresh, n_bytes = True, 0
            yield out.count
        if out.count < 2:
            raise DataError("the data holds fewer than two tokens: there is nothing to learn")
    train, val = hold_out(np.array(starts), val_fraction, seed)
    per_token = sum(sizes) / max(starts[-1], 1)
    val_tokens = int((val[:, 2] - val[:, 1]).sum())
    facts = np.array([round(per_token * val_tokens), bool(wrap.end), pad], np.int64)
    write_atomically(folder / SPANS, save({"train": train, "val": val, "facts": facts}))
    yield load_corpus(folder)


def load_corpus(folder: Path) -> TokenCorpus:
    """The corpus that `build_corpus` wrote.

    Raises:
        DataError: missing or damaged files.
    """
    tokens = open_tokens(folder / TOKENS)
    try:
        arrays = load_file(folder / SPANS)
        train, val, facts = arrays["train"], arrays["val"], arrays["facts"].tolist()
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"{folder / SPANS} can't be read ({error}); start afresh") from None
    for spans in (train, val):
        if spans.ndim != 2 or spans.shape[1] != 3 or (len(spans) and spans.max() > len(tokens)):
            raise DataError(f"{folder / SPANS} does not belong to {folder / TOKENS}")
    return TokenCorpus(
        Spans([tokens], train), Spans([tokens], val), facts[0], not facts[1], facts[2]
    )


def _write_text(out: TokenWriter, tokenizer: Any, text: str) -> int:
    """Encode in bounded parts that end with a line; the bytes of the text."""
    at = 0
    while at < len(text):
        end = at + _BATCH_CHARACTERS
        end = len(text) if end >= len(text) else text.rfind("\n", at, end) + 1 or end
        out.write(tokenizer.encode(text[at:end], "none"))
        at = end
    return len(text.encode("utf-8", "replace"))


def _bytes_per_token(tokenizer: Any, ids: np.ndarray) -> float:
    """From the first few thousand ids."""
    few = [int(i) for i in ids[:4096]]
    try:
        return len(tokenizer.decode_bytes(few)) / max(len(few), 1)
    except ValueError:  # ids without text
        return 4.0


def hold_out(starts: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spans [D, 3] to learn from and held out, of documents that begin at `starts` [D + 1].

    Raises:
        DataError: a fraction that is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise DataError(f"val_fraction={fraction}; it must be at least 0 and below 1")
    first, end = starts[:-1], starts[1:]
    none = np.zeros((0, 3), np.int64)
    if fraction == 0:
        return _spans(first, end), none
    lengths, target = end - first, fraction * (starts[-1] - starts[0])
    if len(first) >= _FEW:
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(first))
        order = order[lengths[order] <= 2 * target]  # one that alone is too much stays in training
        held = np.sort(order[: 1 + np.searchsorted(np.cumsum(lengths[order]), target)])
        if len(held) and lengths[held].sum() >= target / 2:
            kept = np.setdiff1d(np.arange(len(first)), held)
            return _spans(first[kept], end[kept]), _spans(first[held], end[held])
    cut = first + ((1 - fraction) * lengths).astype(np.int64)
    cut = np.where((end - cut < 2) & (lengths >= 6), end - 2, cut)
    return _spans(first, cut), _spans(cut, end)


def _spans(first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """One row 0, first, end per stretch that holds anything."""
    some = end > first
    return np.stack([np.zeros_like(first), first, end], 1)[some].astype(np.int64)
