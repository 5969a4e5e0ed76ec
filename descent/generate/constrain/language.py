"""Languages: sets of texts, built from character classes by six operations.

    Chars  one character of a class        Cat  one after another      Or  one of several
    Times  least … most repetitions        Call  a named rule          EMPTY  the empty text

Without `Call` these are the regular languages (Kleene 1956); with it, rules may contain themselves,
as a JSON value contains values. Characters are Unicode code points; bytes come in `automaton.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "EMPTY", "LAST", "Call", "Cat", "Chars", "Language", "Or", "Ranges", "Times",
    "chars", "literal", "maybe", "one_of", "seq", "without",
]  # fmt: skip

LAST = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]  # both ends belong; rising, apart


@dataclass(frozen=True)
class Chars:
    """One code point of `ranges`."""

    ranges: Ranges


@dataclass(frozen=True)
class Cat:
    """The parts one after another."""

    parts: tuple[Language, ...]


@dataclass(frozen=True)
class Or:
    """Any of the options."""

    options: tuple[Language, ...]


@dataclass(frozen=True)
class Times:
    """`item`, repeated `least` to `most` times (None: any number)."""

    item: Language
    least: int
    most: int | None


@dataclass(frozen=True)
class Call:
    """What the rule of this name describes."""

    rule: str


Language = Chars | Cat | Or | Times | Call
EMPTY = Cat(())


def chars(pairs: Iterable[tuple[int, int]]) -> Chars:
    """A class of code points from ranges in any order, overlapping or not."""
    merged: list[list[int]] = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return Chars(tuple((low, high) for low, high in merged))


def without(ranges: Ranges, excluded: Ranges) -> Ranges:
    """The code points of `ranges` that are not in `excluded`."""
    left = list(ranges)
    for low, high in excluded:
        left = [
            piece
            for a, b in left
            for piece in ((a, min(b, low - 1)), (max(a, high + 1), b))
            if piece[0] <= piece[1]
        ]
    return chars(left).ranges


def literal(text: str) -> Language:
    """Exactly this text."""
    return seq(*(Chars(((ord(c), ord(c)),)) for c in text))


def one_of(text: str) -> Chars:
    """One of these characters."""
    return chars((ord(c), ord(c)) for c in text)


def seq(*parts: Language) -> Language:
    """The parts one after another, without needless nesting."""
    flat: list[Language] = []
    for part in parts:
        flat += part.parts if isinstance(part, Cat) else [part]
    return flat[0] if len(flat) == 1 else Cat(tuple(flat))


def maybe(item: Language) -> Language:
    """`item` or nothing."""
    return Times(item, 0, 1)
