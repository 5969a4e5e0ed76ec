"""The text of one expression: operators, precedence, conditions.

A `Term` is an operation with its operands or, at a leaf, the text of an element of an array.
What is done once for all rows is computed before the loop over the rows and named there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["COMPARISONS", "Expressions", "Term", "statement"]

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_LINE = 80
_CHOICE, _SUM, _PRODUCT, _POWER, _ATOM = range(5)
# operator: (its own precedence, what its left and its right operand must have to stand bare)
_OPERATORS = {
    "-": (_SUM, _SUM, _PRODUCT),
    "*": (_PRODUCT, _PRODUCT, _ATOM),
    "/": (_PRODUCT, _PRODUCT, _ATOM),
    "%": (_PRODUCT, _PRODUCT, _ATOM),
    "//": (_PRODUCT, _PRODUCT, _ATOM),
    "**": (_POWER, _ATOM, _ATOM),
}


@dataclass
class Term:
    """`text` says how a leaf is written; it is asked for inside the loops the leaf stands in."""

    op: str
    per_row: bool
    args: list[Term]
    text: Callable[[], str] | None = None

    @property
    def condition(self) -> bool:
        return self.op in COMPARISONS or self.op in ("and", "or")


class Expressions:
    """Writes Terms; `outer` collects the lines before the loop over rows, `inner` those in it."""

    def __init__(self) -> None:
        self.outer: list[str] = []
        self.inner: list[str] = []
        self.names: dict[str, str] = {}
        self.count = 0

    # --- one expression

    def shared(self, term: Term) -> str:
        """The text of a term outside the loop over rows."""
        return self._text(term, False)[0]

    def per_row(self, term: Term) -> str:
        """The text of a term inside the loop over rows."""
        return self._text(term, True)[0]

    def _text(self, term: Term, in_row: bool) -> tuple[str, int]:
        if in_row and not term.per_row:
            return self._hoisted(term)
        if term.text is not None:
            text = term.text()
            return text, _PRODUCT if text.startswith("-") else _ATOM
        if term.op == "rows":
            return self._sum_over_rows(term.args[0]), _ATOM
        if term.op == "where":
            condition, a, b = term.args
            yes, no = self._bare(a, _SUM, in_row), self._bare(b, _SUM, in_row)
            return f"({yes} if {self._condition(condition, in_row)} else {no})", _ATOM
        if term.condition:
            return f"(1.0 if {self._condition(term, in_row)} else 0.0)", _ATOM
        if term.op == "sum" and len(term.args) > 1:
            return self._sum(term, in_row), _SUM
        if term.op == "relu":
            x = self._named(self._bare(term.args[0], _CHOICE, in_row), in_row)
            return f"(0.0 if {x} < 0.0 else {x})", _ATOM
        return self._simple(term, in_row)

    def _simple(self, term: Term, in_row: bool) -> tuple[str, int]:
        op, args = term.op, term.args
        if op in ("copy", "sum"):  # a sum of one
            return self._text(args[0], in_row)
        if op == "neg":
            return f"-{self._bare(args[0], _ATOM, in_row)}", _PRODUCT
        if op in _OPERATORS:
            own, left, right = _OPERATORS[op]
            a, b = self._bare(args[0], left, in_row), self._bare(args[1], right, in_row)
            return f"{a} {op} {b}", own
        prefix = "" if op == "abs" else "math." if op == "erf" else "np."
        return f"{prefix}{op}({', '.join(self._bare(a, _CHOICE, in_row) for a in args)})", _ATOM

    def _bare(self, term: Term, at_least: int, in_row: bool) -> str:
        text, precedence = self._text(term, in_row)
        return text if precedence >= at_least else f"({text})"

    def _sum(self, term: Term, in_row: bool) -> str:
        text = ""
        for part in term.args:
            if text and part.op == "neg" and (part.per_row or not in_row):
                text += f" - {self._bare(part.args[0], _PRODUCT, in_row)}"
            else:
                text += f" + {self._bare(part, _SUM if not text else _PRODUCT, in_row)}"
        return text.removeprefix(" + ")

    def _condition(self, term: Term, in_row: bool) -> str:
        if term.op in COMPARISONS and (term.per_row or not in_row):
            a, b = (self._bare(x, _SUM, in_row) for x in term.args)
            return f"{a} {term.op} {b}"
        if term.op in ("and", "or") and (term.per_row or not in_row):
            a, b = (self._condition(x, in_row) for x in term.args)
            return f"({a} {term.op} {b})"
        return f"{self._bare(term, _SUM, in_row)} != 0.0"

    # --- lines before it

    def _hoisted(self, term: Term) -> tuple[str, int]:
        text, precedence = self._text(term, False)
        if text.isidentifier() or _is_number(text):
            return text, precedence
        return self._named(text, False), _ATOM

    def _named(self, text: str, in_row: bool) -> str:
        if text.isidentifier():
            return text
        if text not in self.names or in_row:
            name = self.fresh("v" if in_row else "w")
            (self.inner if in_row else self.outer).extend(statement(name, "=", text))
            if in_row:
                return name
            self.names[text] = name
        return self.names[text]

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def _sum_over_rows(self, term: Term) -> str:
        before, self.inner = self.inner, []
        total = self.fresh("s")
        text = self.per_row(term)
        lines = [f"{total} = 0.0", "for i in range(n):", *self.inner]
        lines += statement(total, "+=", text)
        self.outer += lines[:2] + ["    " + line for line in lines[2:]]
        self.inner = before
        return total


def statement(target: str, sign: str, text: str) -> list[str]:
    """An assignment, broken before a ` + ` where it is long."""
    if len(text) <= _LINE:
        return [f"{target} {sign} {text}"]
    lines = [""]
    for part in text.split(" + "):
        if lines[-1] and len(lines[-1]) + len(part) > _LINE:
            lines.append("")
        first = lines == [""]
        lines[-1] += part if first else f" + {part}".removeprefix("" if lines[-1] else " ")
    return [f"{target} {sign} (", *("    " + line for line in lines), ")"]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
