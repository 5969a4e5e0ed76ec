"""Cortex' file patterns: `*` in a folder, `**` across folders, `?`, `[a-z]`, `[!a]`, `{png,jpg}`.

    "**.jpg" chooses every JPG below;  "s3://bucket/*/x.png" one folder deep
A pattern speaks of the whole path, as in Cortex (gobwas/glob with "/" as separator); Python's
`fnmatch` knows neither `**` nor braces. All places a path may have got to in a pattern are followed
at once (Thompson 1968), so the names of files, which are anybody's, cost length × pattern and no
more; a regular expression would go back, and take hours for some. Left out: escapes by backslash
inside a set.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["Glob", "GlobError", "Patterns"]

LONGEST = 1000
MOST_BRANCHES = 256  # plain patterns that braces may stand for

Takes = Callable[[str], bool]  # whether a step of a pattern takes this character


class GlobError(ValueError):
    """What is wrong with a pattern, and where."""


class Patterns:
    """A file is chosen when any of `includes` matches (all, when there are none) and none of
    `excludes` does."""

    def __init__(self, includes: list[str], excludes: list[str]):
        self.includes = [Glob(pattern) for pattern in includes]
        self.excludes = [Glob(pattern) for pattern in excludes]

    def choose(self, path: str) -> bool:
        if self.includes and not any(pattern.matches(path) for pattern in self.includes):
            return False
        return not any(pattern.matches(path) for pattern in self.excludes)


class Step:
    """Takes one character, or (`many`) any number of such."""

    __slots__ = ("many", "takes")

    def __init__(self, takes: Takes, many: bool = False) -> None:
        self.takes, self.many = takes, many


class Glob:
    """A pattern. Raises `GlobError`."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > LONGEST:
            raise GlobError(
                f"a pattern of {len(pattern)} characters; at most {LONGEST} are allowed"
            )
        self._pattern = pattern
        self._branches, _ = self._read(0, 0)

    def matches(self, path: str) -> bool:
        """Whether the pattern speaks of this path."""
        return any(_matches(steps, path) for steps in self._branches)

    def _read(self, at: int, depth: int) -> tuple[list[list[Step]], int]:
        """The plain patterns that begin at `at`, up to the end of a brace's part; where that is."""
        branches: list[list[Step]] = [[]]
        while at < len(self._pattern):
            sign = self._pattern[at]
            if depth and sign in ",}":
                return branches, at
            if sign == "{":
                parts, at = self._brace(at + 1, depth + 1)
                if len(branches) * len(parts) > MOST_BRANCHES:
                    raise GlobError(
                        f"{self._pattern!r} stands for more than {MOST_BRANCHES} patterns"
                    )
                branches = [branch + part for branch in branches for part in parts]
            else:
                step, at = self._step(at)
                for branch in branches:
                    branch.append(step)
        if depth:
            raise GlobError(f"{self._pattern!r} opens a brace that is never closed")
        return branches, at

    def _brace(self, at: int, depth: int) -> tuple[list[list[Step]], int]:
        parts: list[list[Step]] = []
        while True:
            found, at = self._read(at, depth)
            parts += found
            at += 1
            if self._pattern[at - 1] == "}":
                return parts, at

    def _step(self, at: int) -> tuple[Step, int]:
        pattern, sign = self._pattern, self._pattern[at]
        if sign == "*":
            end = at
            while end < len(pattern) and pattern[end] == "*":
                end += 1
            return Step(_any if end - at > 1 else _in_folder, many=True), end
        if sign == "?":
            return Step(_in_folder), at + 1
        if sign == "[":
            return self._set(at)
        if sign == "\\" and at + 1 < len(pattern):
            at, sign = at + 1, pattern[at + 1]
        return Step(sign.__eq__), at + 1

    def _set(self, at: int) -> tuple[Step, int]:
        """`[a-z]` or `[!a-z]` that begins at `at`."""
        end = self._pattern.find("]", at + 2)
        if end < 0:
            raise GlobError(f"{self._pattern!r} opens a set at position {at} that is never closed")
        inside = self._pattern[at + 1 : end]
        negated = inside[0] in "!^"
        members = inside[1:] if negated else inside
        for low, high in re.findall(r"(.)-(.)", members):
            if low > high:
                raise GlobError(f"{self._pattern!r}: the range {low}-{high} is empty")
        escaped = re.sub(r"([\\\]\[^&~|])", r"\\\1", members)
        chosen = re.compile(f"[{'^/' if negated else ''}{escaped}]", re.DOTALL)
        return Step(lambda letter: chosen.match(letter) is not None), end + 1


def _any(letter: str) -> bool:
    return True


def _in_folder(letter: str) -> bool:
    return letter != "/"


def _matches(steps: list[Step], path: str) -> bool:
    places = _onward(steps, [0])
    for letter in path:
        places = _onward(
            steps,
            [
                at if steps[at].many else at + 1
                for at in places
                if at < len(steps) and steps[at].takes(letter)
            ],
        )
        if not places:
            return False
    return len(steps) in places


def _onward(steps: list[Step], places: list[int]) -> list[int]:
    """These places, and those behind stars that need take nothing; each once."""
    found: dict[int, None] = {}
    for at in places:
        while at not in found:
            found[at] = None
            if at == len(steps) or not steps[at].many:
                break
            at += 1
    return list(found)
