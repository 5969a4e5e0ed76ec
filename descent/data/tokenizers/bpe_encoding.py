"""Byte pair encoding, the use: apply the merges to one chunk, lowest rank first, leftmost first.

A merge's rank is the id of the token it makes. Short chunks (nearly all) are rescanned for each
merge; long ones use a linked list and a heap, O(n log n). Both give the same ids.
"""

import heapq
from collections.abc import Mapping
from itertools import pairwise

__all__ = ["get_stats", "merge", "merge_all"]

Pair = tuple[int, int]
_SHORT = 64  # below this the plain loop is faster


def get_stats(ids: list[int], counts: dict[Pair, int] | None = None) -> dict[Pair, int]:
    """How often each pair of neighbours occurs, added to `counts`: [1, 2, 1, 2] → (1, 2): 2, …"""
    counts = {} if counts is None else counts
    for pair in pairwise(ids):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """`ids` with every `pair`, taken from the left, replaced by `new`."""
    out: list[int] = []
    a, b = pair
    index, last = 0, len(ids) - 1
    while index <= last:
        if ids[index] == a and index < last and ids[index + 1] == b:
            out.append(new)
            index += 2
        else:
            out.append(ids[index])
            index += 1
    return out


def merge_all(ids: list[int], merges: Mapping[Pair, int]) -> list[int]:
    """Apply `merges` (pair → id) to `ids` until no neighbours can be merged."""
    if len(ids) > _SHORT:
        return _merge_long(ids, merges)
    get = merges.get
    while True:
        best = None
        for pair in pairwise(ids):
            rank = get(pair)
            if rank is not None and (best is None or rank < best[0]):
                best = rank, pair
        if best is None:
            return ids
        ids = merge(ids, best[1], best[0])


def _merge_long(ids: list[int], merges: Mapping[Pair, int]) -> list[int]:
    token, n = list(ids), len(ids)
    after, before = list(range(1, n + 1)), list(range(-1, n - 1))
    heap = [
        (rank, place)
        for place, pair in enumerate(pairwise(ids))
        if (rank := merges.get(pair)) is not None
    ]
    heapq.heapify(heap)
    while heap:
        rank, place = heapq.heappop(heap)
        gone = after[place]
        # An entry is stale when either neighbour has been merged since; dead tokens are -1.
        if gone >= n or merges.get((token[place], token[gone])) != rank:
            continue
        right = after[gone]
        token[place], token[gone], after[place] = rank, -1, right
        if right < n:
            before[right] = place
            if (made := merges.get((rank, token[right]))) is not None:
                heapq.heappush(heap, (made, place))
        left = before[place]
        if left >= 0 and (made := merges.get((token[left], rank))) is not None:
            heapq.heappush(heap, (made, left))
    return [each for each in token if each >= 0]
