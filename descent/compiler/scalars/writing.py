"""From groups to one readable Python file: a loop nest for each group.

    for j in range(J):
        for k in range(K):          # the members of a group, where their places are affine in j, k
            w1 = data[17 * j + k]   # what all rows share
            for i in range(n):      # the rows, innermost: contiguous, so the compiler uses vectors
                relu_3[j, i] = …

What is handed back goes straight to its place in `out`, `new_data` or `new_grad`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.compiler.scalars.expressions import Expressions, Term, statement
from descent.compiler.scalars.reading import Argument, Element, Reader, Storage
from descent.compiler.scalars.rolling import Group

__all__ = ["write"]


def write(
    groups: list[Group], arguments: Sequence[Argument | None], rows: int, parameters: int
) -> str:
    """The source of `replay(*arguments, data, grad, out)`; data and grad are changed in place."""
    writer = _Writer(groups, arguments)
    given = [a for a in arguments if a is not None]
    body: list[str] = []
    changed = {home: sum(len(g.homes) for g in groups if g.home == home) for home in _NEW}
    for a in given:
        if a.per_row and len(a.shape) > 1:
            body += _columns(a)
    for name in [home for home in _NEW if changed[home]]:
        whole = changed[name] == parameters
        body.append(
            f"{name} = np.empty({parameters})" if whole else f"{name} = {_NEW[name]}.copy()"
        )
    for group in groups:
        body += writer.group(group)
    for name in [home for home in _NEW if changed[home]]:
        body += [f"for m in range({parameters}):", f"    {_NEW[name]}[m] = {name}[m]"]
    if rows:
        first = next(a for a in given if a.per_row)
        body.insert(0, f"n = {first.name}.shape[0]")
    names = ", ".join([*(a.name for a in given), "data", "grad", "out"])
    lines = [*_HEAD, *writer.storage.tables, "", "", f"def replay({names}):"]
    return "\n".join([*lines, *("    " + line for line in body or ["pass"])]) + "\n"


_NEW = {"new_data": "data", "new_grad": "grad"}
_HEAD = [
    '"""Written by descent.compiler.scalars: what a function of Values does, as loops.',
    "",
    "data and grad are those of the parameters, in their order; i counts the rows of the batch.",
    '"""',
    "",
    "import math  # noqa: F401",
    "",
    "import numpy as np",
]


def _columns(a: Argument) -> list[str]:
    """The batch with each column contiguous."""
    width = int(np.prod(a.shape[1:]))
    return [
        f"{a.name}_columns = np.empty(({width}, n))",
        f"for j in range({width}):",
        "    for i in range(n):",
        f"        {a.name}_columns[j, i] = {a.name}[i, j]",
    ]


class _Writer:
    def __init__(self, groups: list[Group], arguments: Sequence[Argument | None]) -> None:
        self.storage = Storage({g.number: g for g in groups}, arguments)

    def group(self, group: Group) -> list[str]:
        members = len(group.leaves)
        reader = Reader(self.storage, group)
        term = reader.term(group.shape)
        target = Element(reader, self.storage.name(group), self._own_place(group, reader))
        reader.choose_loops()
        lines = self._allocate(group, members)
        runs = [a for a in term.args if a.op == "run"] if term.op == "sum" else []
        rest = [a for a in term.args if a.op != "run"]
        if runs:
            term = Term("sum", term.per_row, rest) if rest else _zero()
        write_group = self._per_row if group.per_row else self._shared
        body = write_group(target.text(group.per_row), term, runs)
        for depth, (name, count) in enumerate(reader.loops):
            lines.append("    " * depth + f"for {name} in range({count}):")
        return [*lines, *("    " * len(reader.loops) + line for line in body)]

    def _per_row(self, target: str, term: Term, runs: list[Term]) -> list[str]:
        lines = _row_loop(Expressions(), target, "=", term)
        for run in runs:
            inner = _row_loop(Expressions(), target, "+=", run.args[0])
            lines += [f"for t in range({_count(run)}):", *("    " + line for line in inner)]
        return lines

    def _shared(self, target: str, term: Term, runs: list[Term]) -> list[str]:
        e = Expressions()
        text = e.shared(term)
        if not runs:
            return [*e.outer, *statement(target, "=", text)]
        lines = [*e.outer, f"total = {text}"]
        for run in runs:
            e = Expressions()
            text = e.shared(run.args[0])
            inner = [*e.outer, *statement("total", "+=", text)]
            lines += [f"for t in range({_count(run)}):", *("    " + line for line in inner)]
        return [*lines, f"{target} = total"]

    def _allocate(self, group: Group, members: int) -> list[str]:
        if group.home or (members == 1 and not group.per_row):
            return []
        size = (str(members) if members > 1 else "") + (", n" if group.per_row else "")
        size = size.removeprefix(", ")
        return [f"{self.storage.name(group)} = np.empty({f'({size})' if ',' in size else size})"]

    def _own_place(self, group: Group, reader: Reader) -> Any:
        if group.home:
            return reader.column(np.array(group.homes))
        return reader.column(np.arange(len(group.leaves))) if len(group.leaves) > 1 else None


def _row_loop(e: Expressions, target: str, sign: str, term: Term) -> list[str]:
    text = e.per_row(term)
    inner = [*e.inner, *statement(target, sign, text)]
    return [*e.outer, "for i in range(n):", *("    " + line for line in inner)]


def _zero() -> Term:
    return Term("const", False, [], lambda: "0.0")


def _count(run: Term) -> str:
    assert run.text is not None
    return run.text()
