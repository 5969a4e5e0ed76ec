"""Ranges of code points as sequences of ranges of bytes.

    U+0800 … U+FFFF  =  E0 [A0…BF] [80…BF]  |  [E1…EC] [80…BF] [80…BF]  |  …

Every text has one encoding (RFC 3629): no surrogates, no overlong forms. The splitting is Russ
Cox's ("Regular expression matching in the wild", 2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from descent.generate.constrain.language import Ranges, without

__all__ = ["byte_sequences"]

_SURROGATES = ((0xD800, 0xDFFF),)
_LENGTH_ENDS = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)


@cache
def byte_sequences(ranges: Ranges) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Alternatives; each is the ranges of its first byte, its second byte and so on."""
    found = []
    for low, high in without(ranges, _SURROGATES):
        for end in _LENGTH_ENDS:
            if low <= min(high, end):
                found += _split(low, min(high, end))
                low = min(high, end) + 1
    return tuple(found)


def _split(low: int, high: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Code points of one encoded length, in pieces that differ in whole trailing bytes."""
    first, last = chr(low).encode(), chr(high).encode()
    for i in range(1, len(first)):
        mask = (1 << (6 * i)) - 1
        if low & ~mask != high & ~mask:
            if low & mask:
                yield from _split(low, low | mask)
                yield from _split((low | mask) + 1, high)
                return
            if high & mask != mask:
                yield from _split(low, (high & ~mask) - 1)
                yield from _split(high & ~mask, high)
                return
    yield tuple(zip(first, last))
