"""Gram tables: how often each run of m tokens occurs, m = 1 … n, looked up a whole text at once.

A gram of m tokens is (id of its first m − 1 tokens, last token), coded  id · V + token.  One sorted
array of codes per order holds any vocabulary (V^m is never formed), and looking up every position
of a text is one `np.searchsorted` per order. Left out: pruning, count thresholds, memory mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GramTable", "as_tokens", "count_grams", "stream", "walk"]


class GramTable:
    """All grams of one order: sorted codes [G], their counts [G], sums over each context [C]."""

    def __init__(self, codes: NDArray, counts: NDArray, contexts: int, vocab_size: int) -> None:
        self.codes, self.counts, self.vocab_size = codes, counts, vocab_size
        context = codes // vocab_size
        self.totals = np.bincount(context, counts, contexts)  # [C]
        kind = np.minimum(counts, 3)
        self.kinds = np.stack(  # how many tokens followed once, twice, three times or more  [3 C]
            [np.bincount(context[kind == i], minlength=contexts) for i in (1, 2, 3)]
        )

    def find(self, context: NDArray, token: NDArray) -> NDArray:
        """Gram ids of (context id, token) pairs [N]; −1 for an unseen gram or a context of −1."""
        code = context * self.vocab_size + token
        at = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        return np.where((context >= 0) & (self.codes[at] == code), at, -1)

    def followers(self, context: int) -> tuple[NDArray, NDArray]:
        """The tokens seen after one context, and their counts."""
        low = context * self.vocab_size
        i, j = np.searchsorted(self.codes, [low, low + self.vocab_size])
        return self.codes[i:j] - low, self.counts[i:j]


def stream(
    sequences: Iterable[ArrayLike], context: int, start: int, vocab_size: int
) -> tuple[NDArray, NDArray]:
    """All sequences flat [T], each behind `context` start tokens; offset in its padded own [T]."""
    pad = np.full(context, start, np.int64)
    parts = [as_tokens(s, vocab_size, i) for i, s in enumerate(sequences)]
    parts = [p for p in parts if len(p)]
    if not parts:
        raise ValueError("there are no tokens: every sequence is empty")
    tokens = np.concatenate([x for p in parts for x in (pad, p)])
    lengths = np.array([len(p) for p in parts]) + context
    begin = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return tokens, np.arange(len(tokens)) - begin


def count_grams(
    tokens: NDArray, offset: NDArray, order: int, vocab_size: int, *, left_neighbours: bool
) -> list[GramTable]:
    """Tables of orders 1 … order from a `stream`; only grams that end on a real token are counted.

    left_neighbours: below the top order count the distinct tokens to the left (Kneser & Ney 1995).
    """
    real = offset >= order - 1
    grams, codes, counts = (
        [],
        [],
        [],
    )  # gram ids at each position [T], codes and counts [G], per order
    context = np.zeros(len(tokens), np.int64)
    for m in range(1, order + 1):
        here = offset >= m - 1  # a gram never reaches into the previous sequence
        code, ids = np.unique((context * vocab_size + tokens)[here], return_inverse=True)
        gram = np.full(len(tokens), -1)
        gram[here] = ids
        grams.append(gram)
        codes.append(code)
        counts.append(np.bincount(gram[real], minlength=len(code)))
        context = _one_later(gram)
    if left_neighbours:
        for m in range(1, order):
            in_padding = real & (offset < order + m - 2)  # the gram's first token is padding
            longer, shorter = grams[m][real], grams[m - 1][real]
            _count_neighbours(longer, shorter, grams[m - 1][in_padding], counts, m)
    sizes = [1, *(len(c) for c in codes)]
    return [GramTable(c, n, size, vocab_size) for c, n, size in zip(codes, counts, sizes)]


def walk(
    tables: Sequence[GramTable], tokens: NDArray, offset: NDArray
) -> Iterator[tuple[NDArray, NDArray]]:
    """(context id, gram id) of every position [T], order after order; −1 = never seen."""
    context = np.zeros(len(tokens), np.int64)
    for m, table in enumerate(tables, start=1):
        context = np.where(offset >= m - 1, context, -1)
        gram = table.find(context, tokens)
        yield context, gram
        context = _one_later(gram)


def as_tokens(ids: ArrayLike, vocab_size: int, which: int | None = None) -> NDArray:
    """A 1-d int64 array of tokens in 0 … vocab_size − 1, or an error that names the offender."""
    array = np.asarray(ids)
    where = "" if which is None else f" in sequence {which}"
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"tokens must be 1-d integer arrays, got {array.dtype} of shape {array.shape}{where}"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= vocab_size:
        raise ValueError(
            f"token {low if low < 0 else high}{where} is outside the vocabulary 0..{vocab_size - 1}"
        )
    return array.astype(np.int64)


def _count_neighbours(
    longer: NDArray, shorter: NDArray, in_padding: NDArray, counts: list[NDArray], m: int
) -> None:
    """counts of order m: each distinct gram of order m + 1 is one left neighbour of its suffix.

    A gram that starts in the padding has no neighbour to count, so it keeps its occurrences.
    """
    suffix = np.full(len(counts[m]), -1)
    suffix[longer] = shorter
    left = np.bincount(suffix[suffix >= 0], minlength=len(counts[m - 1]))
    keeps = np.unique(in_padding)
    left[keeps] = np.maximum(left[keeps], counts[m - 1][keeps])
    counts[m - 1] = left


def _one_later(gram: NDArray) -> NDArray:
    """The gram that ended one position earlier is the context of the next order."""
    return np.concatenate([[-1], gram[:-1]])
