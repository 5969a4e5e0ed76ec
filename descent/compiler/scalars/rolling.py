"""From a recording to loops: numbers computed alike become one loop.

    recording → nodes (one per kind that every row has) → sums (chains of + flattened; a term of
    every row becomes a sum over the rows) → roots (what is stored) → groups (roots of equal shape)

A root is a number used more than once, or handed back; everything else is part of the expression of
the one place that uses it. Two roots have the same shape if their expressions differ only in which
element of an array each leaf is; a group of roots with the same shape is a loop over its members.
Reference: loop rerolling, Rocha et al. 2022, doi:10.1145/3519939.3523701 (for the idea only).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from descent.compiler.scalars.tape import SHARED, Number, Tape

__all__ = ["LEAVES", "Group", "Home", "Node", "roll"]

LEAVES = ("data", "grad", "column", "scalar", "const")
LONG = 24  # a sum with this many terms of equal shape is a loop, a shorter one is written out
DEEP = 24  # an expression nested deeper, or with more leaves, is cut in two
WIDE = 96

Home = tuple[str, int]  # the output array and the place in it where a number is handed back


class Node:
    """One operation; `per_row` if it is done once for each row of the batch."""

    __slots__ = (
        "args", "depth", "group", "homes", "index", "leaves", "member", "op", "per_row", "root",
        "uses",
    )  # fmt: skip

    def __init__(self, op: str, args: list[Node], index: tuple, per_row: bool) -> None:
        self.op, self.args, self.index, self.per_row = op, args, index, per_row
        self.uses = self.depth = self.leaves = 0
        self.homes: list[Home] = []
        self.root = False
        self.group: Group | None = None
        self.member = 0


@dataclass
class Group:
    """Roots of one shape. `leaves[m]` lists, in the order they stand in the expression, the index
    of each leaf of member m; `homes[m]` is the member's place in the output array `home`."""

    number: int
    shape: tuple
    per_row: bool
    home: str | None
    leaves: list[list[Any]] = field(default_factory=list)
    homes: list[int] = field(default_factory=list)


def roll(tape: Tape, rows: int, outputs: list[tuple[Home, Number]]) -> list[Group]:
    """The groups, in an order in which each uses only earlier ones."""
    tops = _nodes(tape, rows, outputs)
    _flatten_sums(list(_topological(tops)), rows)
    order = list(_topological(tops))
    _choose_roots(order)
    groups: dict[tuple, Group] = {}
    for node in order:
        if node.root:
            _place(node, groups)
    return list(groups.values())


# --- nodes


def _nodes(tape: Tape, rows: int, outputs: list[tuple[Home, Number]]) -> list[Node]:
    """A node for each kind that every row has, and one for each number of the others."""
    made: dict[tuple, Node] = {}

    def whole(kind: int) -> bool:
        seen = tape.rows[kind]
        return SHARED not in seen and len(seen) == rows

    def key_of(x: Number, in_row: bool) -> tuple:
        if x.row != SHARED and whole(x.kind):
            return (x.kind,) if in_row else (x.kind, x.row, "at")
        return (x.kind, x.row)

    def operands(key: tuple) -> list[tuple]:
        if len(key) == 3:
            return [(key[0],)]
        if tape.ops[key[0]] in LEAVES:
            return []
        args = tape.args[key[0]]
        if len(key) == 1:
            return [key_of(a, True) for a in args]
        row = key[1]  # a number of a kind only some rows have: its own statement
        return [
            key_of(a if row == SHARED or a.row == SHARED else Number(tape, a.kind, row), False)
            for a in args
        ]

    def make(key: tuple, args: list[Node]) -> Node:
        op = tape.ops[key[0]]
        if len(key) == 3:
            return Node("at", args, (key[1],), False)
        if op in LEAVES:
            row = () if len(key) == 1 or key[1] == SHARED else (key[1],)
            return Node(op, [], (*tape.args[key[0]], *row), len(key) == 1)
        return Node(op, args, (), len(key) == 1)

    tops: list[Node] = []
    for home, number in outputs:
        stack = [top := key_of(number, False)]
        while stack:
            key = stack[-1]
            if key in made:
                stack.pop()
                continue
            wanted = operands(key)
            missing = [k for k in wanted if k not in made]
            if missing:
                stack += missing
            else:
                made[key] = make(key, [made[k] for k in wanted])
                stack.pop()
        made[top].homes.append(home)
        tops.append(made[top])
    return tops


def _topological(tops: Iterable[Node]) -> Iterator[Node]:
    """Operands first; counts the uses on the way."""
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(top, False) for top in reversed(list(tops))]
    while stack:
        node, done = stack.pop()
        if done:
            for arg in node.args:
                arg.uses += 1
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            node.uses = 0
            stack.append((node, True))
            stack += [(arg, False) for arg in reversed(node.args)]


# --- sums


def _flatten_sums(order: list[Node], rows: int) -> None:
    """((a + b) + c) + d becomes one sum of four; the terms keep their order."""
    for node in order:
        if node.op != "+":
            continue
        terms: list[Node] = []
        for arg in node.args:
            inner = arg.op == "sum" and arg.uses == 1 and not arg.homes
            if inner and arg.per_row == node.per_row:
                terms = arg.args if not terms else terms + arg.args  # its only user: may take it
                arg.op = "taken"
            else:
                terms.append(arg)
        node.op, node.args = "sum", terms
    for node in order:
        if node.op == "sum" and not node.per_row and len(node.args) >= rows > 1:
            _sum_over_rows(node, rows)


def _sum_over_rows(node: Node, rows: int) -> None:
    """Where a term stands once for every row, write one sum over the rows."""
    found: dict[int, set[int]] = {}
    for term in node.args:
        if term.op == "at":
            found.setdefault(id(term.args[0]), set()).add(term.index[0])
    whole = {k for k, seen in found.items() if len(seen) == rows}
    if not whole:
        return
    terms: list[Node] = []
    taken: set[tuple[int, int]] = set()
    written: set[int] = set()
    for term in node.args:
        inner = term.args[0] if term.op == "at" else None
        place = (id(inner), term.index[0]) if inner is not None else (0, 0)
        if inner is None or id(inner) not in whole or place in taken:
            terms.append(term)
            continue
        if id(inner) not in written:
            written.add(id(inner))
            terms.append(Node("rows", [inner], (), False))
        taken.add(place)
    node.args = terms


# --- roots


def _choose_roots(order: list[Node]) -> None:
    for node in order:
        inline = [a for a in node.args if not a.root and a.op not in LEAVES]
        node.depth = 1 + max((a.depth for a in inline), default=0)
        node.leaves = sum(1 if a.root or a.op in LEAVES else a.leaves for a in node.args)
        if node.op == "at":
            node.args[0].root = node.args[0].op not in LEAVES
            node.depth, node.leaves = 0, 1
        leaf = node.op in LEAVES or node.op == "at"
        long = node.op == "sum" and len(node.args) >= LONG
        node.root = bool(node.homes) or (
            not leaf and (node.uses > 1 or long or node.depth > DEEP or node.leaves > WIDE)
        )


# --- groups


def _place(node: Node, groups: dict[tuple, Group]) -> None:
    """Put a root into the group of its shape."""
    home = node.homes[0] if node.homes else None
    leaves: list[Any] = []
    shape = _inner_shape(node, leaves)
    _join(groups, node, (home and home[0], shape), leaves, home)
    for extra in node.homes[1:]:  # handed back in several places: copies
        copy = Node("copy", [node], (), False)
        leaves = []
        shape = _inner_shape(copy, leaves)
        _join(groups, copy, (extra[0], shape), leaves, extra)


def _join(
    groups: dict[tuple, Group], node: Node, key: tuple, leaves: list[Any], home: Home | None
) -> None:
    group = groups.get(key)
    if group is None:
        group = Group(len(groups), key[1], node.per_row, home[0] if home else None)
        groups[key] = group
    node.group, node.member = group, len(group.leaves)
    group.leaves.append(leaves)
    if home:
        group.homes.append(home[1])


def _shape(node: Node, leaves: list[Any]) -> tuple:
    """The expression with its leaves' places left open; they are appended to `leaves`."""
    if node.root and node.group is not None:
        leaves.append(node.member)
        return ("group", node.per_row, node.group.number)
    return _inner_shape(node, leaves)


def _inner_shape(node: Node, leaves: list[Any]) -> tuple:
    op = node.op
    if op == "const":
        leaves.append(float.fromhex(node.index[0]))
        return ("const", False)
    if op in ("data", "grad"):
        leaves.append(node.index[0])
        return (op, False)
    if op == "scalar":
        leaves.append(node.index[1])
        return (op, False, node.index[0])
    if op == "column":
        leaves.extend(node.index[1:])  # the column and, outside the loop over rows, the row
        return (op, node.per_row, node.index[0])
    if op == "at":
        group = node.args[0].group
        if group is None:  # a number of the batch itself
            leaves += (node.args[0].index[1], node.index[0])
            return ("column", False, node.args[0].index[0])
        leaves += (node.args[0].member, node.index[0])
        return (op, False, group.number)
    if op == "sum":
        return _sum_shape(node, leaves)
    return (op, node.per_row, *(_shape(a, leaves) for a in node.args))


def _sum_shape(node: Node, leaves: list[Any]) -> tuple:
    """Terms of equal shape, where there are many, as ("run", shape, how many)."""
    parts: list[tuple[tuple, list[Any]]] = []
    for term in node.args:
        own: list[Any] = []
        parts.append((_shape(term, own), own))
    count: dict[tuple, int] = {}
    for shape, _ in parts:
        count[shape] = count.get(shape, 0) + 1
    long = {s for s, n in count.items() if n >= LONG} if node.root else set()
    terms: list[tuple] = []
    for shape, own in parts:
        if shape not in long:
            terms.append(shape)
            leaves += own
    for run in sorted(long, key=str):
        terms.append(("run", node.per_row, run, count[run]))
        for shape, own in parts:
            if shape == run:
                leaves += own
    return ("sum", node.per_row, *terms)
