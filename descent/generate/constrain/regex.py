"""Regular expressions: the syntax that Python, ECMAScript and JSON Schema share.

    alternatives = branch ("|" branch)*      branch = (atom quantifier?)*
    atom = character | . | [class] | (group) | (?:group) | \\d \\w \\s \\D \\W \\S | escape
    quantifier = * | + | ? | {m} | {m,} | {m,n}, each also with a lazy ?, which changes nothing here

A whole text is described, so ^ at the beginning and $ at the end say nothing new. \\d \\w \\s and .
mean their ASCII sets and everything but a line break. What a finite automaton cannot do
(look-around, back-references) is refused with its place.
"""

from __future__ import annotations

import re

from descent.generate.constrain.errors import ConstraintError
from descent.generate.constrain.language import (
    EMPTY,
    LAST,
    Chars,
    Language,
    Or,
    Ranges,
    Times,
    chars,
    seq,
    without,
)

__all__ = ["parse_regex"]

_ALL: Ranges = ((0, LAST),)
_DIGIT = chars([(48, 57)])
_WORD = chars([(48, 57), (65, 90), (95, 95), (97, 122)])
_SPACE = chars([(9, 13), (32, 32)])
_CLASSES = {
    "d": _DIGIT, "w": _WORD, "s": _SPACE,
    "D": Chars(without(_ALL, _DIGIT.ranges)),
    "W": Chars(without(_ALL, _WORD.ranges)),
    "S": Chars(without(_ALL, _SPACE.ranges)),
}  # fmt: skip
_DOT = Chars(without(_ALL, ((10, 10), (13, 13))))
_CONTROLS = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
_HEX = {"x": 2, "u": 4}


def parse_regex(pattern: str, *, search: bool = False) -> Language:
    """The texts that `pattern` matches whole; with `search`, those in which it is found.

    Raises:
        ConstraintError: what cannot be read or kept to, with its place in the pattern.
    """
    parser = _Parser(pattern)
    if not search:
        return parser.whole()
    anything = Times(Chars(_ALL), 0, None)
    branches = []
    for language, begins, ends in parser.branches():
        before = () if begins else (anything,)
        after = () if ends else (anything,)
        branches.append(seq(*before, language, *after))
    return branches[0] if len(branches) == 1 else Or(tuple(branches))


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.depth = 0

    def whole(self) -> Language:
        found = [language for language, _, _ in self.branches()]
        return found[0] if len(found) == 1 else Or(tuple(found))

    def branches(self) -> list[tuple[Language, bool, bool]]:
        """The top alternatives, each with whether it is anchored at its beginning and end."""
        found = self._alternatives()
        if self.at < len(self.text):
            self._fail("a ) without its (")
        return found

    def _fail(self, what: str, at: int | None = None) -> None:
        at = self.at if at is None else at
        raise ConstraintError(f"regex {self.text!r}: {what} at character {at}")

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _alternatives(self) -> list[tuple[Language, bool, bool]]:
        found = [self._branch()]
        while self._take("|"):
            found.append(self._branch())
        return found

    def _branch(self) -> tuple[Language, bool, bool]:
        """Anchors are read at the ends of a branch of the whole pattern, nowhere else."""
        parts: list[Language] = []
        begins = self._take("^")
        if begins and self.depth:
            self._fail("^ inside a group is not supported", self.at - 1)
        while self._peek() not in ("", "|", ")", "$"):
            parts.append(self._quantified(self._atom()))
        ends = self._take("$")
        if ends and (self.depth or self._peek() not in ("", "|")):
            self._fail("$ is only supported at the end", self.at - 1)
        return seq(*parts) if parts else EMPTY, begins, ends

    def _atom(self) -> Language:
        start = self.at
        c = self._peek()
        self.at += 1
        if c == "(":
            return self._group(start)
        if c == "[":
            return Chars(self._class(start))
        if c == ".":
            return _DOT
        if c == "\\":
            return self._escape(in_class=False)
        if c in "*+?{":
            self._fail(f"{c} has nothing to repeat", start)
        if c == "^":
            self._fail("^ is only supported at the beginning", start)
        return chars([(ord(c), ord(c))])

    def _group(self, start: int) -> Language:
        if self._take("?"):
            named = re.compile(r"P?<[A-Za-z_]\w*>").match(self.text, self.at)
            if named:
                self.at = named.end()
            elif not self._take(":"):
                self._fail(f"(?{self._peek()} is not supported (no look-around, no flags)", start)
        self.depth += 1
        found = [language for language, _, _ in self._alternatives()]
        self.depth -= 1
        if not self._take(")"):
            self._fail("a ( is not closed", start)
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _escape(self, *, in_class: bool) -> Chars:
        start = self.at - 1
        c = self._peek()
        self.at += 1
        if c in _CLASSES:
            return _CLASSES[c]
        if c in _HEX:
            digits = self.text[self.at : self.at + _HEX[c]]
            if len(digits) < _HEX[c] or not set(digits) <= set("0123456789abcdefABCDEF"):
                self._fail(f"\\{c} needs {_HEX[c]} hexadecimal digits", start)
            self.at += _HEX[c]
            return chars([(int(digits, 16), int(digits, 16))])
        if c in _CONTROLS:
            return chars([(_CONTROLS[c], _CONTROLS[c])])
        if c == "b" and in_class:
            return chars([(8, 8)])
        if not c or c.isalnum():
            what = f"\\{c} is not supported" if c else "a single backslash"
            self._fail(what, start)
        return chars([(ord(c), ord(c))])

    def _class(self, start: int) -> Ranges:
        negated = self._take("^")
        found: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            if not self._peek():
                self._fail("a [ is not closed", start)
            low = self._class_member()
            first = False
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self._class_member()
                a, b = low[0][0], high[-1][1]
                if low[0][0] != low[-1][1] or high[0][0] != b or a > b:
                    self._fail("a range in [] must go from one character up to another")
                found.append((a, b))
            else:
                found += low
        self.at += 1
        ranges = chars(found).ranges
        return without(_ALL, ranges) if negated else ranges

    def _class_member(self) -> Ranges:
        c = self._peek()
        self.at += 1
        if c == "\\":
            return self._escape(in_class=True).ranges
        return ((ord(c), ord(c)),)

    def _quantified(self, item: Language) -> Language:
        while (bounds := self._quantifier()) is not None:
            item = Times(item, *bounds)
        return item

    def _quantifier(self) -> tuple[int, int | None] | None:
        bounds: tuple[int, int | None] | None = None
        if self._take("*"):
            bounds = (0, None)
        elif self._take("+"):
            bounds = (1, None)
        elif self._take("?"):
            bounds = (0, 1)
        elif self._peek() == "{":
            found = re.compile(r"\{(\d+)(,(\d*))?\}").match(self.text, self.at)
            if not found:
                self._fail("{ needs {m}, {m,} or {m,n}; write \\{ for the character")
                return None
            least = int(found[1])
            most = least if found[2] is None else int(found[3]) if found[3] else None
            if most is not None and most < least:
                self._fail(f"{found[0]} asks for at least {least} and at most {most}")
            self.at = found.end()
            bounds = (least, most)
        if bounds is not None:
            self._take("?")  # lazy: the same texts
        return bounds
