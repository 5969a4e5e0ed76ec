"""The leaves of a group's expression: which element of which array each one is, as text.

A leaf has a place for every member of the group. Where the places of all leaves are affine in one
loop counter, or in two, the members are a loop or two; other places are read from a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from descent.compiler.scalars.expressions import Term
from descent.compiler.scalars.rolling import Group

__all__ = ["Argument", "Element", "Reader", "Storage"]

_NAMES = {"*": "product", "/": "quotient", "-": "difference", "**": "power", "neg": "minus"}


@dataclass(frozen=True)
class Argument:
    """A number or an array the function is given: its shape, and whether axis 0 is the rows."""

    name: str
    shape: tuple[int, ...]
    per_row: bool


@dataclass
class Storage:
    """Where everything lies: the groups' arrays, the arguments, tables of places and constants."""

    groups: dict[int, Group]
    arguments: Sequence[Argument | None]
    tables: list[str] = field(default_factory=list)

    def name(self, group: Group) -> str:
        if group.home:
            return group.home
        op = group.shape[0]
        return f"{_NAMES.get(op, op if op.isidentifier() else 'value')}_{group.number}"

    def argument(self, i: int) -> Argument:
        argument = self.arguments[i]
        assert argument is not None
        return argument

    def table(self, values: np.ndarray) -> str:
        name = f"table_{len(self.tables)}"
        numbers = str(values.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
        self.tables.append(f"{name} = np.array({numbers})")
        return name


# --- leaves and the loops their places allow


@dataclass
class Element:
    reader: Reader
    name: str
    place: Column | None
    row: Column | None = None

    def text(self, per_row: bool) -> str:
        parts = [self.place.text()] if self.place else []
        if self.row is not None:
            parts.append(self.row.text())
        elif per_row:
            parts.append("i")
        return f"{self.name}[{', '.join(parts)}]" if parts else self.name


class Column:
    """The places of one leaf: values[m], or values[m, t] inside a run."""

    def __init__(self, reader: Reader, values: np.ndarray) -> None:
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
            return f"{self.reader.storage.table(self.values)}[{self.reader.flat}, t]"
        base = self.reader.affine(self.base)
        if base is None:
            base = f"{self.reader.storage.table(self.base)}[{self.reader.flat}]"
        return _linear([(self.stride, "t")], base)


def _linear(factors: list[tuple[int, str]], base: str) -> str:
    """`16 * j + k + 3` or `15 - j`, without what is zero or one."""
    up = [name if f == 1 else f"{f} * {name}" for f, name in factors if f > 0]
    down = [name if f == -1 else f"{-f} * {name}" for f, name in factors if f < 0]
    if base != "0" or not up:
        up.append(base)
    return " - ".join([" + ".join(up), *down])


class Reader:
    """Reads a group's shape and leaves into a Term whose leaves know their text."""

    def __init__(self, storage: Storage, group: Group) -> None:
        self.storage = storage
        self.rows_of_leaves = group.leaves
        self.members = len(group.leaves)
        self.at = 0
        self.columns: list[Column] = []
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

    def column(self, values: np.ndarray) -> Column:
        column = Column(self, values)
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
        name = self.storage.table(values)
        in_run = ", t" if values.ndim == 2 else ""
        return Term("const", False, [], lambda: f"{name}[{self.flat}{in_run}]")

    def _data(self, _: bool, name: str = "data") -> Term:
        element = Element(self, name, self.column(self._take()))
        return Term(name, False, [], lambda: element.text(False))

    def _grad(self, _: bool) -> Term:
        return self._data(False, "grad")

    def _scalar(self, _: bool, arg: int) -> Term:
        place = self.column(self._take())
        argument = self.storage.argument(arg)
        element = Element(self, argument.name, place if argument.shape else None)
        return Term("scalar", False, [], lambda: element.text(False))

    def _column(self, per_row: bool, arg: int) -> Term:
        argument = self.storage.argument(arg)
        flat = len(argument.shape) == 1
        place = self.column(self._take())
        row = None if per_row else self.column(self._take())
        name = argument.name if flat else f"{argument.name}_columns"
        element = Element(self, name, None if flat else place, row)
        return Term("column", per_row, [], lambda: element.text(per_row))

    def _group(self, per_row: bool, number: int) -> Term:
        return self._stored(per_row, number, None)

    def _at(self, _: bool, number: int) -> Term:
        return self._stored(False, number, True)

    def _stored(self, per_row: bool, number: int, row: bool | None) -> Term:
        group = self.storage.groups[number]
        values = self._take()
        if group.home:
            values = np.array(group.homes)[values]
        alone = len(group.leaves) == 1 and not group.home
        place = None if alone else self.column(values)
        at_row = self.column(self._take()) if row else None
        element = Element(self, self.storage.name(group), place, at_row)
        return Term("group", per_row, [], lambda: element.text(per_row))


_LEAF_READERS: dict[str, Callable[..., Term]] = {
    "run": Reader._run,
    "const": Reader._const,
    "data": Reader._data,
    "grad": Reader._grad,
    "scalar": Reader._scalar,
    "column": Reader._column,
    "group": Reader._group,
    "at": Reader._at,
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
