"""Numbers within bounds, as languages of their decimal digits.

    12 ≤ n ≤ 345   =   1[2-9] | [2-9]d | [12]dd | 3[0-3]d | 34[0-5]

Digit by digit: a digit below the bound's leaves the rest free, an equal one leaves the rest of the
bound, a larger one is excluded. Left out: exponents where there are bounds.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from descent.generate.constrain.language import (
    EMPTY,
    Chars,
    Language,
    Or,
    Times,
    chars,
    literal,
    maybe,
    one_of,
    seq,
)

__all__ = ["decimals", "integers"]

DIGIT = chars([(48, 57)])
_NONZERO = chars([(49, 57)])
_MOST_DIGITS = 18  # of an integer without bounds: what 64 bits hold
_MOST_PLACES = 15  # digits that a float64 tells apart


def _digits(low: int, high: int) -> Chars:
    return chars([(48 + low, 48 + high)])


def _or(options: list[Language | None]) -> Language | None:
    kept = [option for option in options if option is not None]
    return None if not kept else kept[0] if len(kept) == 1 else Or(tuple(kept))


def integers(low: int | None, high: int | None) -> Language | None:
    """The integers low … high (None: no bound, up to 18 digits); None if there are none."""
    negative = None
    if low is None or low < 0:
        most = None if low is None else -low
        magnitude = _naturals(max(1, -high) if high is not None else 1, most)
        negative = None if magnitude is None else seq(literal("-"), magnitude)
    positive = None
    if high is None or high >= 0:
        positive = _naturals(max(low or 0, 0), high)
    return _or([positive, negative])


def _naturals(low: int, high: int | None) -> Language | None:
    if high is None:
        n = len(str(low))
        longer = max(_MOST_DIGITS, n + 1)
        same = _between(str(low), "9" * n)
        return _or([same, seq(_NONZERO, Times(DIGIT, n, longer - 1))])
    options: list[Language | None] = []
    for n in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (n - 1) if n > 1 else 0)
        most = min(high, 10**n - 1)
        if least <= most:
            options.append(_between(str(least), str(most)))
    return _or(options)


@cache
def _between(low: str, high: str) -> Language:
    """Digit strings as long as both, from one to the other."""
    n = len(low)
    if n == 0:
        return EMPTY
    if low == "0" * n and high == "9" * n:
        return Times(DIGIT, n, n)
    a, b = int(low[0]), int(high[0])
    if a == b:
        return seq(literal(low[0]), _between(low[1:], high[1:]))
    first, last = a, b
    options: list[Language] = []
    if low[1:] != "0" * (n - 1):
        options.append(seq(literal(low[0]), _between(low[1:], "9" * (n - 1))))
        first += 1
    if high[1:] != "9" * (n - 1):
        options.append(seq(literal(high[0]), _between("0" * (n - 1), high[1:])))
        last -= 1
    if first <= last:
        options.append(seq(_digits(first, last), Times(DIGIT, n - 1, n - 1)))
    return options[0] if len(options) == 1 else Or(tuple(options))


def decimals(
    low: Decimal | None, high: Decimal | None, *, above: bool = False, below: bool = False
) -> Language | None:
    """Decimal numbers from `low` to `high`; `above` and `below` exclude the bound itself.

    None if there are none.
    """
    if low is None and high is None:
        exponent = seq(one_of("eE"), maybe(one_of("+-")), Times(DIGIT, 1, 2))
        whole = Or((literal("0"), seq(_NONZERO, Times(DIGIT, 0, _MOST_DIGITS - 1))))
        places = seq(literal("."), Times(DIGIT, 1, _MOST_PLACES))
        return seq(maybe(literal("-")), whole, maybe(places), maybe(exponent))
    negative = positive = None
    # Beside a bound of n digits, more places than these would be rounded onto it.
    room = max(_MOST_PLACES - max(len(str(int(abs(b)))) for b in (low, high) if b is not None), 1)
    if low is None or low < 0:
        most = None if low is None else -low
        least, open_ = (-high, below) if high is not None and high < 0 else (Decimal(0), True)
        magnitude = _positive(least, most, open_, above, room)
        negative = None if magnitude is None else seq(literal("-"), magnitude)
    if high is None or high >= 0:
        least, open_ = (low, above) if low is not None and low >= 0 else (Decimal(0), False)
        positive = _positive(least, high, open_, below, room)
    return _or([positive, negative])


def _positive(
    low: Decimal, high: Decimal | None, above: bool, below: bool, room: int
) -> Language | None:
    whole, part = _parts(low)
    if high is None:
        return _or([
            _with_places(whole, _places(part, None, above, False, room)),
            _free_places(_naturals(whole + 1, None)),
        ])  # fmt: skip
    top, top_part = _parts(high)
    if whole > top:
        return None
    if whole == top:
        return _with_places(whole, _places(part, top_part, above, below, room))
    between = _naturals(whole + 1, top - 1) if whole + 1 <= top - 1 else None
    return _or([
        _with_places(whole, _places(part, None, above, False, room)),
        _free_places(between),
        _with_places(top, _places("", top_part, False, below, room)),
    ])  # fmt: skip


def _parts(value: Decimal) -> tuple[int, str]:
    whole, _, part = f"{value:f}".partition(".")
    return int(whole), part.rstrip("0")


def _free_places(whole: Language | None) -> Language | None:
    if whole is None:
        return None
    return seq(whole, maybe(seq(literal("."), Times(DIGIT, 1, _MOST_PLACES))))


def _with_places(whole: int, places: Language | None) -> Language | None:
    return None if places is None else seq(literal(str(whole)), places)


def _places(low: str, high: str | None, above: bool, below: bool, room: int) -> Language | None:
    """What may stand after an integer: nothing, or a point and digits, from 0.low to 0.high."""
    empty = EMPTY if _may_end(low, high, above, below) else None
    digits = _more(low, high, above, below, max(room, len(low), len(high or "")))
    point = None if digits is None else seq(literal("."), digits)
    return _or([point, empty])


def _may_end(low: str | None, high: str | None, above: bool, below: bool) -> bool:
    """Whether no further digit (a zero) is within both bounds."""
    high_enough = low is None or (low == "" and not above)
    return high_enough and (high is None or high != "" or not below)


@cache
def _more(
    low: str | None, high: str | None, above: bool, below: bool, room: int
) -> Language | None:
    """At least one more digit, at most `room`; a bound of None holds already."""
    if room == 0:
        return None
    if low is None and high is None:
        return Times(DIGIT, 1, room)
    options: dict[tuple[str | None, str | None], list[int]] = {}
    for digit in range(10):
        rest = _after(digit, low, high, above)
        if rest is not None:
            options.setdefault(rest, []).append(digit)
    found: list[Language | None] = []
    for (next_low, next_high), digits in options.items():
        ends = _may_end(next_low, next_high, above, below)
        tail = _more(next_low, next_high, above, below, room - 1)
        rest = _or([tail, EMPTY if ends else None])
        if rest is not None:
            found.append(seq(_digits(digits[0], digits[-1]), rest))
    return _or(found)


def _after(
    digit: int, low: str | None, high: str | None, above: bool
) -> tuple[str | None, str | None] | None:
    """The bounds on what follows `digit`; None if it is outside."""
    if low is not None:
        floor = int(low[0]) if low else 0
        if digit < floor:
            return None
        low = None if digit > floor else low[1:]
        if low == "" and not above:
            low = None
    if high is not None:
        ceiling = int(high[0]) if high else 0
        if digit > ceiling:
            return None
        high = None if digit < ceiling else high[1:]
    return low, high
