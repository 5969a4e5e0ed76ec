"""Byte pair encoding, the use: apply the merges to one chunk, lowest rank first, leftmost first.

In our own vocabularies a merge's rank is the id of the token it makes (`merge_all`). In others rank
and id are apart (`merge_ranked`), and then the rule is applied one merge at a time, because a merge
may enable one of a lower rank. Short chunks (nearly all) are rescanned for each merge; long ones
use a linked list and a heap, O(n log n). Both give the same ids.
"""

import heapq
from collections.abc import Callable, Mapping
from itertools import pairwise

__all__ = ["ID_BITS", "get_stats", "merge", "merge_all", "merge_ranked"]

Pair = tuple[int, int]
ID_BITS = 32
_ID = (1 << ID_BITS) - 1
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
    get = merges.get
    if len(ids) > _SHORT:
        return _merge_long(ids, lambda pair: _ranked(get(pair)))
    while True:
        best = None
        for pair in pairwise(ids):
            rank = get(pair)
            if rank is not None and (best is None or rank < best[0]):
                best = rank, pair
        if best is None:
            return ids
        ids = merge(ids, best[1], best[0])


def _ranked(token: int | None) -> int | None:
    return None if token is None else token << ID_BITS | token


def merge_ranked(ids: list[int], lookup: Callable[[Pair], int | None]) -> list[int]:
    """The same where `lookup(pair)` is `rank << ID_BITS | id`; of equal ranks the leftmost."""
    if len(ids) > _SHORT:
        return _merge_long(ids, lookup)
    ids = list(ids)
    while True:
        best, found, below = -1, 0, 1 << 2 * ID_BITS
        for place, pair in enumerate(pairwise(ids)):
            made = lookup(pair)
            if made is not None and made < below:
                best, found, below = place, made, made & ~_ID  # only a lower rank comes before it
        if best < 0:
            return ids
        ids[best : best + 2] = [found & _ID]


def _merge_long(ids: list[int], lookup: Callable[[Pair], int | None]) -> list[int]:
    token, n = list(ids), len(ids)
    after, before = list(range(1, n + 1)), list(range(-1, n - 1))
    heap = [
        (made >> ID_BITS, place, made & _ID)
        for place, pair in enumerate(pairwise(ids))
        if (made := lookup(pair)) is not None
    ]
    heapq.heapify(heap)
    while heap:
        rank, place, new = heapq.heappop(heap)
        gone = after[place]
        # An entry is stale when either neighbour has been merged since; dead tokens are -1.
        if gone >= n or lookup((token[place], token[gone])) != rank << ID_BITS | new:
            continue
        right = after[gone]
        token[place], token[gone], after[place] = new, -1, right
        if right < n:
            before[right] = place
            if (made := lookup((new, token[right]))) is not None:
                heapq.heappush(heap, (made >> ID_BITS, place, made & _ID))
        left = before[place]
        if left >= 0 and (made := lookup((token[left], new))) is not None:
            heapq.heappush(heap, (made >> ID_BITS, left, made & _ID))
    return [each for each in token if each >= 0]
