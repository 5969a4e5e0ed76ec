"""Fill in the middle: teach a left-to-right model to write between a prefix and a suffix.

    text = prefix + middle + suffix   →   <prefix> prefix <suffix> suffix <middle> middle <end>

Bavarian et al. 2022, arXiv:2207.14255 (there: PSM, cut by characters). A share of the documents is
cut into short passages, each rearranged so; the rest stays as it is, since rearranging a part costs
left-to-right quality next to nothing (their section 4). Short passages, because a small model's
window must hold all three parts. Left out: their second order (SPM).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.data.text import Document

__all__ = ["INFILL_TOKENS", "encode_for_infilling", "infill_ids", "infill_tokens", "named_tokens"]

INFILL_TOKENS = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
# The same three as others spell them: StarCoder, SantaCoder, CodeLlama (two), DeepSeek.
_SPELLINGS = (
    INFILL_TOKENS,
    ("<fim_prefix>", "<fim_middle>", "<fim_suffix>"),
    ("<fim-prefix>", "<fim-middle>", "<fim-suffix>"),
    ("▁<PRE>", "▁<MID>", "▁<SUF>"),
    ("<PRE>", "<MID>", "<SUF>"),
    ("<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜fim▁hole｜>"),
)
_PASSAGE = (120, 900)  # characters


def infill_tokens(tokenizer: Any) -> tuple[int, int, int] | None:
    """The ids of prefix, middle and suffix; None when the tokenizer has no such tokens."""
    known = named_tokens(tokenizer)
    for names in _SPELLINGS:
        if all(name in known for name in names):
            return known[names[0]], known[names[1]], known[names[2]]
    return None


def named_tokens(tokenizer: Any) -> dict[str, int]:
    """Tokens that stand for themselves, special or not (Qwen's marks for infilling are not)."""
    added = getattr(tokenizer, "added_tokens", None) or {}
    return {**added, **(getattr(tokenizer, "special_tokens", None) or {})}


def infill_ids(tokenizer: Any, prefix: str, suffix: str) -> list[int]:
    """The prompt after which the model writes what belongs between `prefix` and `suffix`.

    Raises:
        ValueError: the tokenizer was not made for it.
    """
    marks = infill_tokens(tokenizer)
    if marks is None:
        raise ValueError(
            f"this tokenizer has no {', '.join(INFILL_TOKENS)}: its model never learned to fill in"
        )
    before, middle, after = marks
    left, right = tokenizer.encode_ordinary(prefix), tokenizer.encode_ordinary(suffix)
    return [before, *left, after, *right, middle]


def encode_for_infilling(
    documents: Sequence[Document], tokenizer: Any, *, share: float, end: int, seed: int = 0
) -> np.ndarray:
    """All documents as one row of ids, `share` of them as rearranged passages; each ends in `end`.

    Args:
        share: the part of the documents that is cut up, 0 … 1.
        end: the id after every document and every passage.

    Returns:
        uint16 ids where the vocabulary allows it, else uint32.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of documents to rearrange must lie in 0 … 1: got {share}")
    rng = np.random.Generator(np.random.PCG64(seed))
    ids: list[np.ndarray] = []
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    for _, text in documents:
        row: list[int] = []
        if rng.random() >= share:
            row = [*tokenizer.encode_ordinary(text), end]
        else:
            for passage in _passages(text, rng):
                a, b = sorted(rng.integers(0, len(passage) + 1, size=2))
                row += infill_ids(tokenizer, passage[:a], passage[b:])
                row += [*tokenizer.encode_ordinary(passage[a:b]), end]
        ids.append(np.array(row, dtype))
    return np.concatenate(ids) if ids else np.zeros(0, dtype)


def _passages(text: str, rng: np.random.Generator) -> list[str]:
    """The text in pieces of random length that begin where a line begins."""
    pieces, at = [], 0
    while at < len(text):
        stop = text.find("\n", at + int(rng.integers(*_PASSAGE))) + 1
        if not 0 < stop - at <= 2 * _PASSAGE[1]:  # no line ends for long
            stop = at + _PASSAGE[1]
        pieces.append(text[at:stop])
        at = stop
    return pieces
