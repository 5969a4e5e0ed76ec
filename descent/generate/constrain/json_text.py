"""JSON's own grammar, as languages: strings, any value, and texts of JSON inside strings.

    value = object | array | string | number | true | false | null          (RFC 8259)

Written compactly, with at most one space after a comma or a colon. Left out: other white space,
surrogate escapes (the character itself stands there), numbers beyond 18 digits.
"""

from __future__ import annotations

from collections.abc import Collection

from descent.generate.constrain.language import (
    EMPTY,
    LAST,
    Call,
    Cat,
    Chars,
    Language,
    Or,
    Ranges,
    Times,
    chars,
    literal,
    maybe,
    one_of,
    seq,
    without,
)
from descent.generate.constrain.numbers import decimals

__all__ = [
    "ANY", "ANY_ARRAY", "ANY_OBJECT", "COLON", "COMMA", "QUOTE",
    "inside_string", "json_rules", "listed", "string", "string_but",
]  # fmt: skip

_SPECIAL: Ranges = ((0, 31), (34, 34), (92, 92))
_PLAIN: Ranges = without(((0, LAST),), (*_SPECIAL, (0xD800, 0xDFFF)))
_HEX = chars([(48, 57), (65, 70), (97, 102)])
_SHORT = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 34: '"', 92: "\\"}

QUOTE = literal('"')
COMMA = seq(literal(","), maybe(literal(" ")))
COLON = seq(literal(":"), maybe(literal(" ")))
ANY, ANY_OBJECT, ANY_ARRAY = Call("json value"), Call("json object"), Call("json array")


def _unicode_escape() -> Language:
    """\\uXXXX of anything but a surrogate."""
    not_d = chars(without(_HEX.ranges, ((68, 68), (100, 100))))
    rest = Or((
        seq(not_d, _HEX, _HEX, _HEX),
        seq(one_of("dD"), chars([(48, 55)]), _HEX, _HEX),
    ))  # fmt: skip
    return seq(literal("\\u"), rest)


_CHARACTER = Or((Chars(_PLAIN), seq(literal("\\"), one_of('"\\/bfnrt')), _unicode_escape()))


def string(least: int = 0, most: int | None = None) -> Language:
    """A string of `least` to `most` characters."""
    return seq(QUOTE, Times(_CHARACTER, least, most), QUOTE)


def inside_string(language: Language) -> Language:
    """The same texts as they are written inside a JSON string, without the quotes."""
    match language:
        case Chars(ranges):
            options: list[Language] = [Chars(without(ranges, _SPECIAL))]
            for low, high in _SPECIAL:
                for code in range(low, high + 1):
                    if any(a <= code <= b for a, b in ranges):
                        short = _SHORT.get(code, f"u{code:04x}")
                        options.append(literal("\\" + short))
            return options[0] if len(options) == 1 else Or(tuple(options))
        case Cat(parts):
            return Cat(tuple(inside_string(part) for part in parts))
        case Or(parts):
            return Or(tuple(inside_string(part) for part in parts))
        case Times(item, least, most):
            return Times(inside_string(item), least, most)
        case Call():
            raise AssertionError("a pattern calls no rules")


def string_but(names: Collection[str]) -> Language:
    """A string without escapes that is none of `names`."""
    return seq(QUOTE, _but([name for name in names if _is_plain(name)]), QUOTE)


def _is_plain(name: str) -> bool:
    return all(any(low <= ord(c) <= high for low, high in _PLAIN) for c in name)


def _but(names: Collection[str]) -> Language:
    """Plain texts that are none of `names`: a tree of their beginnings, left somewhere."""
    if not names:
        return Times(Chars(_PLAIN), 0, None)
    firsts = sorted({name[0] for name in names if name})
    used = tuple((ord(c), ord(c)) for c in firsts)
    options: list[Language] = [seq(Chars(without(_PLAIN, used)), Times(Chars(_PLAIN), 0, None))]
    for first in firsts:
        rest = [name[1:] for name in names if name.startswith(first)]
        options.append(seq(literal(first), _but(rest)))
    if "" not in names:
        options.append(EMPTY)
    return Or(tuple(options))


def listed(item: Language, least: int = 0, most: int | None = None) -> Language:
    """`least` to `most` items with commas between them."""
    if most == 0:
        return EMPTY
    more = Times(seq(COMMA, item), max(least - 1, 0), None if most is None else most - 1)
    some = seq(item, more)
    return some if least > 0 else maybe(some)


def json_rules() -> dict[str, Language]:
    """The rules behind `ANY`, `ANY_OBJECT` and `ANY_ARRAY`."""
    number = decimals(None, None)
    assert number is not None
    words = (literal("true"), literal("false"), literal("null"))
    return {
        "json value": Or((ANY_OBJECT, ANY_ARRAY, Call("json string"), number, *words)),
        "json object": seq(literal("{"), listed(Call("json pair")), literal("}")),
        "json pair": seq(Call("json string"), COLON, ANY),
        "json array": seq(literal("["), listed(ANY), literal("]")),
        "json string": string(),
    }
