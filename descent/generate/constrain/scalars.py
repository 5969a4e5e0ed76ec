"""Strings and numbers of a JSON schema, with their bounds, patterns and formats."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from descent.generate.constrain.json_text import QUOTE, inside_string, string
from descent.generate.constrain.language import Language, seq
from descent.generate.constrain.numbers import decimals, integers
from descent.generate.constrain.regex import parse_regex

__all__ = ["number", "text_value"]

_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"  # days that every month has
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_CLOCK})"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "ipv4": rf"({_BYTE}\.){{3}}{_BYTE}",
    "email": rf"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@{_LABEL}(\.{_LABEL})+",
    "hostname": _HOST,
    "uri": rf"https?://{_HOST}(:[0-9]{{1,4}})?(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?",
}


def text_value(schema: Mapping[str, Any], refuse: Callable[[str], NoReturn]) -> Language | None:
    """A string that the schema accepts; an unknown `format` says nothing, as in the standard."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    for name, value in (("minLength", least), ("maxLength", most)):
        if value is not None and (not isinstance(value, int) or value < 0):
            refuse(f"{name} must be a whole number from 0, not {value!r}")
    pattern, form = schema.get("pattern"), _FORMATS.get(schema.get("format", ""))
    if pattern is None and form is None:
        return None if most is not None and least > most else string(least, most)
    if "minLength" in schema or "maxLength" in schema or (pattern is not None and form is not None):
        refuse("pattern, format and minLength or maxLength together are not supported")
    if pattern is None:
        return seq(QUOTE, inside_string(parse_regex(str(form))), QUOTE)
    if not isinstance(pattern, str):
        refuse(f"pattern must be a string, not {pattern!r}")
    return seq(QUOTE, inside_string(parse_regex(pattern, search=True)), QUOTE)


def number(
    kind: str, schema: Mapping[str, Any], refuse: Callable[[str], NoReturn]
) -> Language | None:
    """A number or integer within the schema's bounds; None if there is none."""
    if schema.get("multipleOf", 1) != 1:
        refuse("multipleOf is not supported")
    if "multipleOf" in schema:
        kind = "integer"
    low, above = _bound(schema, "minimum", "exclusiveMinimum", max, refuse)
    high, below = _bound(schema, "maximum", "exclusiveMaximum", min, refuse)
    if kind == "number":
        return decimals(low, high, above=above, below=below)
    least = None if low is None else math.floor(low) + 1 if above else math.ceil(low)
    most = None if high is None else math.ceil(high) - 1 if below else math.floor(high)
    if least is not None and most is not None and least > most:
        return None
    return integers(least, most)


def _bound(
    schema: Mapping[str, Any],
    closed: str,
    open_: str,
    tighter: Callable[..., Decimal],
    refuse: Callable[[str], NoReturn],
) -> tuple[Decimal | None, bool]:
    """The tighter of a closed and an open bound, and whether it is the open one."""
    given: dict[str, Decimal] = {}
    for name in (closed, open_):
        value = schema.get(name)
        if value is None or value is False:
            continue
        if value is True:  # draft 4: the other bound is meant to be open
            return (Decimal(str(schema[closed])), True) if closed in schema else (None, False)
        if not isinstance(value, int | float) or not math.isfinite(value):
            refuse(f"{name} must be a number, not {value!r}")
        given[name] = Decimal(str(value))
    if not given:
        return None, False
    best = tighter(given.values())
    return best, given.get(open_) == best
