"""What is done to a step's graph before its loops are written: what need not run is left out, what
can lie over something dead does, updates come early where memory is large."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from descent.compiler.fuse import Group
from descent.compiler.graph import (
    Buffer,
    Check,
    Gather,
    Loops,
    Product,
    UpdateNode,
    View,
    redirect,
)
from descent.compiler.rows import IN_PLACE

__all__ = ["early_updates", "in_place", "late_products", "live", "silence"]

LARGE = 1 << 20  # elements from which an array is worth keeping once only
MANY = 1 << 23  # parameters from which each is updated as soon as it can be


def live(nodes: list[Any], results: Iterable[View]) -> list[Any]:
    """The nodes whose writes matter: to a result, or to memory that outlives the step."""
    wanted = {id(v.buffer) for v in results}
    kept: list[Any] = []
    for node in reversed(nodes):
        if isinstance(node, (UpdateNode, Check)) or any(
            v.buffer.kind != "temporary" or id(v.buffer) in wanted for v in node.writes()
        ):
            kept.append(node)
            wanted.update(id(v.buffer) for v in node.reads())
        elif isinstance(node, Gather) and node.places.buffer.kind != "constant":
            rows = node.table.shape[0]  # nobody needs the rows, but a wrong number is an error
            kept.append(Check(node.places, rows, 0, origin=node.origin))
            wanted.add(id(node.places.buffer))
    return kept[::-1]


def in_place(nodes: list[Any], results: Iterable[View]) -> list[Any]:
    """Large row kernels write over an input that nobody needs any more, where they can."""
    wanted = {id(v.buffer) for v in results}
    last: dict[int, int] = {}
    for i, node in enumerate(nodes):
        for v in (*node.reads(), *node.writes()):
            last[id(v.buffer)] = i
    renamed: dict[int, Buffer] = {}
    for i, node in enumerate(nodes):
        redirect(node, renamed)
        if not isinstance(node, Loops) or id(node.fn) not in IN_PLACE:
            continue
        twin, read, written = IN_PLACE[id(node.fn)]
        x, y = node.inputs[read], node.outputs[written]
        original = next((b for b, to in renamed.items() if to is x.buffer), id(x.buffer))
        dead = max(last[id(x.buffer)], last.get(original, 0)) <= i and id(x.buffer) not in wanted
        if x.size < LARGE or not dead or not (x.whole and y.whole):
            continue
        if x.buffer.kind != "temporary" or y.buffer.kind != "temporary" or id(y.buffer) in wanted:
            continue
        renamed[id(y.buffer)] = x.buffer
        last[id(x.buffer)] = last[id(y.buffer)]
        node.fn, node.path = twin, ("", "")
        node.outputs = [v for k, v in enumerate(node.outputs) if k != written]
        cut = [c for k, c in enumerate(node.by_row) if k != len(node.inputs) + written]
        node.by_row, node.changes = tuple(cut), (read,)
    return nodes


def early_updates(nodes: list[Any]) -> list[Any]:
    """With many parameters, each is updated as soon as its gradient is known and nothing reads the
    old value any more: its gradient's memory is then free for the next."""
    updates = [n for n in nodes if isinstance(n, UpdateNode)]
    if sum(n.arrays[1].size for n in updates) < MANY:
        return nodes
    out: list[Any] = []
    for node in nodes:
        if not isinstance(node, UpdateNode):
            out.append(node)
            continue
        touched = {id(v.buffer) for v in node.arrays}
        at = len(out)
        while at and not any(
            id(v.buffer) in touched for v in [*out[at - 1].reads(), *out[at - 1].writes()]
        ):
            at -= 1
        out.insert(at, node)
    return out


def late_products(nodes: list[Any]) -> list[Any]:
    """A large product waits until its result is needed, where the result takes more memory than
    what it is made of: a tied embedding's gradient begins with the logits', and ends the step."""
    out = list(nodes)
    for node in nodes:
        if not isinstance(node, Product) or node.y.buffer.kind != "temporary":
            continue
        made_of, result = {id(v.buffer): v.buffer for v in node.reads()}, node.y.buffer
        if result.size < LARGE or result.size <= sum(b.size for b in made_of.values()):
            continue
        at = out.index(node)
        end = at + 1
        while end < len(out) and not (
            any(v.buffer is result for v in (*out[end].reads(), *out[end].writes()))
            or any(id(v.buffer) in made_of for v in out[end].writes())
        ):
            end += 1
        out.insert(end - 1, out.pop(at))
    return out


def silence(nodes: list[Any], wanted: list[View]) -> None:
    """Mark what only its own loop reads."""
    needed = {id(v.buffer) for v in wanted}
    readers: dict[int, set[int]] = {}
    for i, node in enumerate(nodes):
        for v in node.reads():
            readers.setdefault(id(v.buffer), set()).add(i)
    writers: dict[int, set[int]] = {}
    for i, node in enumerate(nodes):
        for v in node.writes():
            writers.setdefault(id(v.buffer), set()).add(i)
    for i, node in enumerate(nodes):
        if isinstance(node, Group):
            for m in node.members:
                b = m.target.buffer
                m.silent = (
                    b.kind == "temporary"
                    and id(b) not in needed
                    and not readers.get(id(b), set())
                    and writers[id(b)] == {i}
                )
