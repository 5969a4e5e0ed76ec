"""Byte pair encoding, the training: merge the most frequent neighbouring pair, again and again.

    (a, b)* = argmax over pairs of  Σ_chunks count(chunk) · occurrences of (a, b) in chunk

Gage 1994; Sennrich et al. 2016 (arXiv:1508.07909); on bytes: Radford et al. 2019, section 2.2.
Equal chunks are stored once with a count, and after a merge only the pairs beside it change, so a
merge costs its number of occurrences, not the length of the text. Equal counts: the pair that
occurs first in the text, which is what `max(stats, key=stats.get)` gives in minbpe.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from descent.data.errors import DataError

__all__ = ["train_merges"]

Pair = tuple[int, int]
_END = -1  # the neighbour of a chunk's first and last token


def train_merges(
    chunks: Iterable[str] | Counter[str],
    n_merges: int,
    *,
    min_count: int = 1,
    on_merge: Callable[[int, Pair, int], None] | None = None,
) -> list[Pair]:
    """Learn up to `n_merges` merges; the i-th returned pair becomes token 256 + i.

    Args:
        chunks: pieces no token may cross, in order of appearance, or already counted.
        min_count: stop when the most frequent pair is rarer than this.
        on_merge: called with (i, pair, count) for each merge, e.g. to show progress.
    """
    if n_merges < 0:
        raise DataError(f"a vocabulary of {256 + n_merges} is below the 256 bytes it must hold")
    counts = chunks if isinstance(chunks, Counter) else Counter(chunks)
    sequence = _Sequence(counts)
    queue = [
        (-count, positions[0], pair)
        for pair, count in sequence.counts.items()
        if (positions := sequence.positions[pair])
    ]
    heapq.heapify(queue)
    merges: list[Pair] = []
    while len(merges) < n_merges:
        pair, count = _most_frequent(queue, sequence)
        if pair is None or count < min_count:
            break
        if on_merge is not None:
            on_merge(len(merges), pair, count)
        for made in sequence.merge(pair, 256 + len(merges)):
            key = (-sequence.counts[made], sequence.positions[made][0], made)
            heapq.heappush(queue, key)
        merges.append(pair)
    return merges


def _most_frequent(queue: list, sequence: "_Sequence") -> tuple[Pair | None, int]:
    """Pop the best pair. Counts only fall and first positions only move right once a pair exists,
    so a key can only get worse: a stale one is put back with its present value."""
    while queue:
        key = queue[0]
        pair = key[2]
        count = sequence.counts.get(pair, 0)
        first = sequence.first_position(pair) if count > 0 else None
        if first is None:
            heapq.heappop(queue)
        elif (-count, first) == key[:2]:
            heapq.heappop(queue)
            return pair, count
        else:
            heapq.heapreplace(queue, (-count, first, pair))
    return None, 0


class _Sequence:
    """All distinct chunks laid end to end, as a doubly linked list of tokens.

    A token keeps the position of its first byte for ever, so positions compare as text order.
    `positions[pair]` is ascending and may hold places where the pair no longer stands.
    """

    def __init__(self, counts: Counter[str]):
        encoded = [chunk.encode("utf-8", errors="replace") for chunk in counts]
        lengths = np.array([len(chunk) for chunk in encoded], dtype=np.int64)
        token = np.frombuffer(b"".join(encoded), dtype=np.uint8).astype(np.int64)
        weight = np.repeat(np.array(list(counts.values()), dtype=np.int64), lengths)
        ends = np.cumsum(lengths)
        position = np.arange(len(token), dtype=np.int64)
        after, before = position + 1, position - 1
        after[ends[lengths > 0] - 1] = _END
        before[(ends - lengths)[lengths > 0]] = _END
        self.token: list[int] = token.tolist()
        self.weight: list[int] = weight.tolist()
        self.after: list[int] = after.tolist()
        self.before: list[int] = before.tolist()
        self.counts: dict[Pair, int] = {}
        self.positions: dict[Pair, list[int]] = {}
        self._seen: dict[Pair, int] = {}  # how many leading positions are known to be stale
        self._count_bytes(token, weight, position[after != _END])

    def _count_bytes(self, token, weight, starts) -> None:
        """The first count: every pair of neighbouring bytes, grouped by a stable sort."""
        if not len(starts):
            return
        codes = token[starts] * 256 + token[starts + 1]
        order = np.argsort(codes, kind="stable")
        codes, starts = codes[order], starts[order]
        edges = np.flatnonzero(np.diff(codes, prepend=-1))
        totals = np.add.reduceat(weight[starts], edges)
        for code, total, where in zip(
            codes[edges].tolist(), totals.tolist(), np.split(starts, edges[1:])
        ):
            pair = divmod(code, 256)
            self.counts[pair] = total
            self.positions[pair] = where.tolist()

    def first_position(self, pair: Pair) -> int | None:
        """Where `pair` stands first, or None when it no longer stands anywhere."""
        positions, token, after = self.positions[pair], self.token, self.after
        for index in range(self._seen.get(pair, 0), len(positions)):
            place = positions[index]
            if token[place] == pair[0] and after[place] != _END and token[after[place]] == pair[1]:
                self._seen[pair] = index
                return place
        return None

    def merge(self, pair: Pair, new: int) -> list[Pair]:
        """Replace `pair` by `new` everywhere, left to right; return the pairs that came to be."""
        token, after, before, counts = self.token, self.after, self.before, self.counts
        positions, a, b = self.positions, pair[0], pair[1]
        made: dict[Pair, None] = {}
        for place in positions[pair]:
            gone = after[place]
            if token[place] != a or gone == _END or token[gone] != b:
                continue
            weight = self.weight[place]
            left, right = before[place], after[gone]
            token[place], token[gone] = new, _END  # a dead token matches no pair
            after[place] = right
            if left != _END:
                counts[token[left], a] -= weight
                _add(counts, positions, made, (token[left], new), weight, left)
            if right != _END:
                before[right] = place
                counts[b, token[right]] -= weight
                _add(counts, positions, made, (new, token[right]), weight, place)
        counts.pop(pair, None)
        positions.pop(pair, None)
        return [each for each in made if each in positions and counts[each] > 0]


def _add(counts, positions, made, pair, weight, place) -> None:
    if pair in counts:
        counts[pair] += weight
        positions[pair].append(place)
    else:
        counts[pair] = weight
        positions[pair] = [place]
        made[pair] = None
