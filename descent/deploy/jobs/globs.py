"""Cortex' file patterns: `*` in a folder, `**` across folders, `?`, `[a-z]`, `[!a]`, `{png,jpg}`.

    "**.jpg" chooses every JPG below;  "s3://bucket/*/x.png" one folder deep
A pattern speaks of the whole path, as in Cortex (gobwas/glob with "/" as separator); Python's
`fnmatch` knows neither `**` nor braces. Left out: escapes by backslash inside a set.
"""

from __future__ import annotations

import re

__all__ = ["GlobError", "Patterns", "translate"]

LONGEST = 1000
MOST_STARS = 6  # matching may take length ** stars steps: a bound on what a request may cost


class GlobError(ValueError):
    """What is wrong with a pattern, and where."""


class Patterns:
    """A file is chosen when any of `includes` matches (all, when there are none) and none of
    `excludes` does."""

    def __init__(self, includes: list[str], excludes: list[str]):
        self.includes = [translate(pattern) for pattern in includes]
        self.excludes = [translate(pattern) for pattern in excludes]

    def choose(self, path: str) -> bool:
        if self.includes and not any(pattern.fullmatch(path) for pattern in self.includes):
            return False
        return not any(pattern.fullmatch(path) for pattern in self.excludes)


def translate(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern. Raises `GlobError`."""
    if len(pattern) > LONGEST:
        raise GlobError(f"a pattern of {len(pattern)} characters; at most {LONGEST} are allowed")
    stars = len(re.findall(r"\*+", pattern))
    if stars > MOST_STARS:
        raise GlobError(f"{pattern!r} has {stars} wildcards; at most {MOST_STARS} are allowed")
    text, at, braces = "", 0, 0
    while at < len(pattern):
        piece, at, braces = _piece(pattern, at, braces)
        text += piece
    if braces:
        raise GlobError(f"{pattern!r} opens a brace that is never closed")
    return re.compile(text, re.DOTALL)


def _piece(pattern: str, at: int, braces: int) -> tuple[str, int, int]:
    """What stands at `at`, as a regular expression; the next position; open braces."""
    sign = pattern[at]
    if sign == "*":
        end = at
        while end < len(pattern) and pattern[end] == "*":
            end += 1
        return (".*" if end - at > 1 else "[^/]*"), end, braces
    if sign == "?":
        return "[^/]", at + 1, braces
    if sign == "[":
        text, end = _set(pattern, at)
        return text, end, braces
    if sign == "{":
        return "(?:", at + 1, braces + 1
    if sign == "}" and braces:
        return ")", at + 1, braces - 1
    if sign == "," and braces:
        return "|", at + 1, braces
    if sign == "\\" and at + 1 < len(pattern):
        return re.escape(pattern[at + 1]), at + 2, braces
    return re.escape(sign), at + 1, braces


def _set(pattern: str, at: int) -> tuple[str, int]:
    """`[a-z]` or `[!a-z]` that begins at `at`."""
    end = pattern.find("]", at + 2)
    if end < 0:
        raise GlobError(f"{pattern!r} opens a set at position {at} that is never closed")
    inside = pattern[at + 1 : end]
    negated = inside[0] in "!^"
    members = inside[1:] if negated else inside
    for low, high in re.findall(r"(.)-(.)", members):
        if low > high:
            raise GlobError(f"{pattern!r}: the range {low}-{high} is empty")
    escaped = re.sub(r"([\\\]\[^&~|])", r"\\\1", members)
    return f"[{'^/' if negated else ''}{escaped}]", end + 1
