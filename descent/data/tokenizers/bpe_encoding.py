"""Byte pair encoding, the use: apply the merges to one chunk, lowest rank first, leftmost first.

In our own vocabularies a merge's rank is the id of the token it makes (`merge_all`); in others rank
and id are apart (`merge_ranked`). Merges are done one at a time, because one may enable another of
a lower rank. Short chunks (nearly all) look for the lowest rank in a list; long ones use a linked
list and a heap, O(n log n). Both give the same ids.
"""

import heapq
from collections.abc import Callable, Mapping
from itertools import pairwise

__all__ = ["ID_BITS", "get_stats", "merge", "merge_all", "merge_ranked"]

Pair = tuple[int, int]
ID_BITS = 32
_ID = (1 << ID_BITS) - 1
_NEVER = 1 << 2 * ID_BITS
_SHORT = 64  # below this the plain list is faster


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
    """Apply `merges` (pair → id, a lower id first) to `ids` until no neighbours can be merged."""
    return merge_ranked(ids, merges.get)


def merge_ranked(
    ids: list[int], lookup: Callable[[Pair], int | None], *, tied: bool = False
) -> list[int]:
    """The same where `lookup(pair)` is `rank << ID_BITS | id`, above 0, or None.

    `tied`: different pairs may have one rank; the leftmost goes first.
    """
    if tied or len(ids) > _SHORT:
        return _merge_long(ids, lookup, -1 << ID_BITS if tied else -1)
    ids = list(ids)
    made = [lookup(pair) or _NEVER for pair in pairwise(ids)]  # of each place and the next
    while made and (best := min(made)) != _NEVER:
        place = made.index(best)
        new = best & _ID
        ids[place : place + 2] = [new]
        del made[place]
        if place < len(made):
            made[place] = lookup((new, ids[place + 1])) or _NEVER
        if place:
            made[place - 1] = lookup((ids[place - 1], new)) or _NEVER
    return ids


def _merge_long(ids: list[int], lookup: Callable[[Pair], int | None], order: int) -> list[int]:
    """`order` masks what of a merge's number says when it is done."""
    token, n = list(ids), len(ids)
    after, before = list(range(1, n + 1)), list(range(-1, n - 1))
    heap = [
        (made & order, place, made)
        for place, pair in enumerate(pairwise(ids))
        if (made := lookup(pair)) is not None
    ]
    heapq.heapify(heap)
    while heap:
        _, place, made = heapq.heappop(heap)
        gone = after[place]
        # An entry is stale when either neighbour has been merged since; dead tokens are -1.
        if gone >= n or lookup((token[place], token[gone])) != made:
            continue
        right = after[gone]
        new = token[place] = made & _ID
        token[gone], after[place] = -1, right
        if right < n:
            before[right] = place
            if (made := lookup((new, token[right]))) is not None:
                heapq.heappush(heap, (made & order, place, made))
        left = before[place]
        if left >= 0 and (made := lookup((token[left], new))) is not None:
            heapq.heappush(heap, (made & order, left, made))
    return [each for each in token if each >= 0]
