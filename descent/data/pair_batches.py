"""Batches of sentence pairs in a few shapes: pairs of like length together, filled up to one.

    x[b, 0] = source …, end, pad …        x[b, 1] = start, target …, pad …
    y[b]    = target …, end, −1 …

A compiled step has fixed shapes, so lengths are rounded up to one of three, chosen from the data; a
batch of each holds about the same number of tokens (Vaswani et al. 2017, §5.1). Every epoch takes
every pair once, in an order that follows from seed and epoch alone: the state is two numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from descent.data.errors import DataError

__all__ = ["PairBatches", "filled"]

Ids = Sequence[int]
STEP = 4  # lengths are rounded up to a multiple of it


def filled(
    pairs: Sequence[tuple[Ids, Ids]], length: int, *, bos: int, eos: int, pad: int
) -> tuple[np.ndarray, np.ndarray]:
    """x [N, 2, L] and y [N, L], int64; both sides of every pair must have fewer than L tokens."""
    x = np.full((len(pairs), 2, length), pad, np.int64)
    y = np.full((len(pairs), length), -1, np.int64)
    for i, (source, target) in enumerate(pairs):
        s, t = len(source), len(target)
        x[i, 0, :s], x[i, 0, s] = source, eos
        x[i, 1, 0], x[i, 1, 1 : t + 1] = bos, target
        y[i, :t], y[i, t] = target, eos
    return x, y


def _edges(lengths: np.ndarray) -> list[int]:
    """The three lengths (or fewer) with which the pairs have the least padding."""
    rounded = -(-lengths // STEP) * STEP
    sizes, counts = np.unique(rounded, return_counts=True)
    fits = np.cumsum(counts)  # pairs that fit each size
    best = min(
        ({i, j, len(sizes) - 1} for i in range(len(sizes)) for j in range(i, len(sizes))),
        key=lambda at: sum(
            sizes[b] * (fits[b] - (fits[a] if a >= 0 else 0))
            for a, b in pairwise([-1, *sorted(at)])
        ),
    )
    return [int(sizes[i]) for i in sorted(best)]


class PairBatches:
    """Batches of about `tokens` tokens a side (padding included). Pairs longer than `longest`
    tokens are left out; `dropped` says how many."""

    def __init__(
        self,
        pairs: Sequence[tuple[Ids, Ids]],
        *,
        tokens: int,
        seed: int,
        bos: int,
        eos: int,
        pad: int,
        longest: int = 256,
    ) -> None:
        kept = [p for p in pairs if max(len(p[0]), len(p[1])) < longest]
        self.dropped = len(pairs) - len(kept)
        if not kept:
            raise DataError(f"no sentence pair has fewer than {longest} tokens a side")
        lengths = np.array([max(len(s), len(t)) + 1 for s, t in kept])
        edges = _edges(lengths)
        self.seed, self.epoch, self.place = seed, 0, 0
        self.buckets = []  # (x, y, rows of a batch)
        below = 0
        for edge in edges:
            inside = [p for p, n in zip(kept, lengths) if below < n <= edge]
            x, y = filled(inside, edge, bos=bos, eos=eos, pad=pad)
            self.buckets.append((x, y, max(1, tokens // edge)))
            below = edge
        self._order = self._shuffled()

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return len(self._order)

    def _shuffled(self) -> list[tuple[int, np.ndarray]]:
        """(bucket, rows) of every batch of this epoch; a bucket's last is filled up from its
        first."""
        rng = np.random.default_rng([self.seed, self.epoch])
        batches = []
        for b, (x, _, size) in enumerate(self.buckets):
            rows = rng.permutation(len(x))
            whole = np.resize(rows, -(-len(x) // size) * size)
            batches += [(b, part) for part in whole.reshape(-1, size)]
        return [batches[i] for i in rng.permutation(len(batches))]

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """x [B, 2, L] and y [B, L]."""
        if self.place == len(self._order):
            self.epoch, self.place = self.epoch + 1, 0
            self._order = self._shuffled()
        bucket, rows = self._order[self.place]
        self.place += 1
        x, y, _ = self.buckets[bucket]
        return x[rows], y[rows]

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "place": self.place}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epoch, self.place = state["epoch"], state["place"]
        self._order = self._shuffled()

    def all(self, most: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every pair once, in order, for evaluation; of each bucket at most `most` batches."""
        for x, y, size in self.buckets:
            for first in range(0, min(len(x), (most or len(x)) * size), size):
                yield x[first : first + size], y[first : first + size]
