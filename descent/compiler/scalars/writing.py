"""From groups to one readable Python file: a loop nest for each group.

for j in range(J):
    for k in range(K):          # the members of a group, where their places are affine in (j, k)
        w1 = data[17 * j + k]   # what all rows share
        for i in range(n):      # the rows, innermost: contiguous, so the compiler uses vectors
            relu3[j, i] = …
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from descent.compiler.scalars.expressions import Expressions, Term, statement
from descent.compiler.scalars.rolling import Group

__all__ = ["Argument", "write"]

_NAMES = {"*": "product", "/": "quotient", "-": "difference", "**": "power", "neg": "minus"}


@dataclass(frozen=True)
class Argument:
    """A number or an array the function is given: its shape, and whether axis 0 is the rows."""

    name: str
    shape: tuple[int, ...]
    per_row: bool


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
    lines = [*_HEAD, *writer.tables, "", "", f"def replay({names}):"]
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
        self.groups = {g.number: g for g in groups}
        self.arguments = arguments
        self.tables: list[str] = []

    def group(self, group: Group) -> list[str]:
        members = len(group.leaves)
        reader = _Reader(self, group)
        term = reader.term(group.shape)
        target = _Element(reader, self.name(group), self._own_place(group, reader))
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

    # --- names and storage

    def name(self, group: Group) -> str:
        if group.home:
            return group.home
        op = group.shape[0]
        return f"{_NAMES.get(op, op if op.isidentifier() else 'value')}{group.number}"

    def _allocate(self, group: Group, members: int) -> list[str]:
        if group.home or (members == 1 and not group.per_row):
            return []
        size = (str(members) if members > 1 else "") + (", n" if group.per_row else "")
        size = size.removeprefix(", ")
        return [f"{self.name(group)} = np.empty({f'({size})' if ',' in size else size})"]

    def _own_place(self, group: Group, reader: _Reader) -> Any:
        if group.home:
            return reader.column(np.array(group.homes))
        return reader.column(np.arange(len(group.leaves))) if len(group.leaves) > 1 else None

    def table(self, values: np.ndarray) -> str:
        name = f"table{len(self.tables)}"
        self.tables.append(f"{name} = np.array({values.tolist()})")
        return name


def _row_loop(e: Expressions, target: str, sign: str, term: Term) -> list[str]:
    text = e.per_row(term)
    inner = [*e.inner, *statement(target, sign, text)]
    return [*e.outer, "for i in range(n):", *("    " + line for line in inner)]


def _zero() -> Term:
    return Term("const", False, [], lambda: "0.0")


def _count(run: Term) -> str:
    assert run.text is not None
    return run.text()


# --- leaves and the loops their places allow


@dataclass
class _Element:
    reader: _Reader
    name: str
    place: _Column | None
    row: _Column | None = None

    def text(self, per_row: bool) -> str:
        parts = [self.place.text()] if self.place else []
        if self.row is not None:
            parts.append(self.row.text())
        elif per_row:
            parts.append("i")
        return f"{self.name}[{', '.join(parts)}]" if parts else self.name


class _Column:
    """The places of one leaf: values[m], or values[m, t] inside a run."""

    def __init__(self, reader: _Reader, values: np.ndarray) -> None:
        self.reader, self.values = reader, values
        self.base = values if values.ndim == 1 else values[:, 0]
        self.stride = 0
        self.in_run_affine = True
        if values.ndim == 2:
            step = np.diff(values, axis=1)
            self.in_run_affine = bool((step == step.flat[0]).all()) if step.size else True
            self.stride = int(step.flat[0]) if step.size and self.in_run_affine else 0

    def text(self) -> str:
        if not self.in_run_affine:
            return f"{self.reader.writer.table(self.values)}[{self.reader.flat}, t]"
        base = self.reader.affine(self.base)
        if base is None:
            base = f"{self.reader.writer.table(self.base)}[{self.reader.flat}]"
        return _linear([(self.stride, "t")], base)


def _linear(factors: list[tuple[int, str]], base: str) -> str:
    """`16 * j + k + 3` or `15 - j`, without what is zero or one."""
    up = [name if f == 1 else f"{f} * {name}" for f, name in factors if f > 0]
    down = [name if f == -1 else f"{-f} * {name}" for f, name in factors if f < 0]
    if base != "0" or not up:
        up.append(base)
    return " - ".join([" + ".join(up), *down])


class _Reader:
    """Reads a group's shape and leaves into a Term whose leaves know their text."""

    def __init__(self, writer: _Writer, group: Group) -> None:
        self.writer = writer
        self.rows_of_leaves = group.leaves
        self.members = len(group.leaves)
        self.at = 0
        self.columns: list[_Column] = []
        self.loops: list[tuple[str, int]] = []
        self.inner = 1  # members of the innermost loop
        self.run: tuple[int, int] | None = None  # (terms, leaves of each term)

    # --- loops

    def choose_loops(self) -> None:
        """One loop if every place is affine in m, else two if affine in (j, k), else tables."""
        if self.members == 1:
            return
        bases = [c.base for c in self.columns if c.in_run_affine]
        for inner in [self.members, *_divisors(self.members)]:
            self.inner = inner
            if all(self._fit(b) is not None for b in bases):
                break
        else:
            self.inner = self.members
        if self.inner == self.members:
            self.loops = [("m", self.members)]
        else:
            self.loops = [("j", self.members // self.inner), ("k", self.inner)]

    @property
    def flat(self) -> str:
        names = [name for name, _ in self.loops]
        return (
            _linear([(self.inner, names[0])], names[1])
            if len(names) == 2
            else (names[0] if names else "0")
        )

    def _fit(self, values: np.ndarray) -> tuple[int, int, int] | None:
        """(base, step of j, step of k) if values[j · inner + k] is affine."""
        grid = values.reshape(-1, self.inner)
        base = int(grid[0, 0])
        down = int(grid[1, 0]) - base if len(grid) > 1 else 0
        across = int(grid[0, 1]) - base if self.inner > 1 else 0
        j, k = np.indices(grid.shape)
        return (base, down, across) if (grid == base + down * j + across * k).all() else None

    def affine(self, values: np.ndarray) -> str | None:
        fit = self._fit(values)
        if fit is None:
            return None
        base, down, across = fit
        names = [name for name, _ in self.loops]
        steps = [down, across] if len(names) == 2 else [across]
        return _linear(list(zip(steps, names)), str(base))

    # --- reading

    def argument(self, i: int) -> Argument:
        argument = self.writer.arguments[i]
        assert argument is not None
        return argument

    def column(self, values: np.ndarray) -> _Column:
        column = _Column(self, values)
        self.columns.append(column)
        return column

    def _take(self) -> np.ndarray:
        """The next leaf's place for every member, and for every term of the run it stands in."""
        at = self.at
        self.at += 1
        if self.run is None:
            return np.array([leaves[at] for leaves in self.rows_of_leaves])
        terms, width = self.run
        return np.array(
            [[leaves[at + t * width] for t in range(terms)] for leaves in self.rows_of_leaves]
        )

    def term(self, shape: tuple) -> Term:
        op, per_row = shape[0], shape[1]
        if op in _LEAF_READERS:
            return _LEAF_READERS[op](self, *shape[1:])
        return Term(op, per_row, [self.term(s) for s in shape[2:]])

    def _run(self, per_row: bool, shape: tuple, terms: int) -> Term:
        start, width = self.at, _leaves_in(shape)
        self.run = (terms, width)
        inner = self.term(shape)
        self.run = None
        self.at = start + terms * width
        return Term("run", per_row, [inner], lambda: str(terms))

    def _const(self, _: bool) -> Term:
        values = self._take().astype(np.float64)
        first = float(values.flat[0])
        if (values == first).all() or np.isnan(values).all():
            text = _literal(first)
            return Term("const", False, [], lambda: text)
        name = self.writer.table(values)
        in_run = ", t" if values.ndim == 2 else ""
        return Term("const", False, [], lambda: f"{name}[{self.flat}{in_run}]")

    def _data(self, _: bool, name: str = "data") -> Term:
        element = _Element(self, name, self.column(self._take()))
        return Term(name, False, [], lambda: element.text(False))

    def _grad(self, _: bool) -> Term:
        return self._data(False, "grad")

    def _scalar(self, _: bool, arg: int) -> Term:
        place = self.column(self._take())
        argument = self.argument(arg)
        element = _Element(self, argument.name, place if argument.shape else None)
        return Term("scalar", False, [], lambda: element.text(False))

    def _column(self, per_row: bool, arg: int) -> Term:
        argument = self.argument(arg)
        flat = len(argument.shape) == 1
        place = self.column(self._take())
        row = None if per_row else self.column(self._take())
        name = argument.name if flat else f"{argument.name}_columns"
        element = _Element(self, name, None if flat else place, row)
        return Term("column", per_row, [], lambda: element.text(per_row))

    def _group(self, per_row: bool, number: int) -> Term:
        return self._stored(per_row, number, None)

    def _at(self, _: bool, number: int) -> Term:
        return self._stored(False, number, True)

    def _stored(self, per_row: bool, number: int, row: bool | None) -> Term:
        group = self.writer.groups[number]
        values = self._take()
        if group.home:
            values = np.array(group.homes)[values]
        alone = len(group.leaves) == 1 and not group.home
        place = None if alone else self.column(values)
        at_row = self.column(self._take()) if row else None
        element = _Element(self, self.writer.name(group), place, at_row)
        return Term("group", per_row, [], lambda: element.text(per_row))


_LEAF_READERS: dict[str, Callable[..., Term]] = {
    "run": _Reader._run,
    "const": _Reader._const,
    "data": _Reader._data,
    "grad": _Reader._grad,
    "scalar": _Reader._scalar,
    "column": _Reader._column,
    "group": _Reader._group,
    "at": _Reader._at,
}


def _leaves_in(shape: tuple) -> int:
    op = shape[0]
    if op == "at" or (op == "column" and not shape[1]):
        return 2
    if op in ("const", "data", "grad", "scalar", "column", "group"):
        return 1
    return sum(_leaves_in(s) for s in shape[2:])


def _divisors(n: int) -> list[int]:
    return [k for k in range(n // 2, 1, -1) if n % k == 0]


def _literal(x: float) -> str:
    if x != x:
        return "np.nan"
    return repr(x).replace("inf", "np.inf")
