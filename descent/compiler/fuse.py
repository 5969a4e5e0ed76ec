"""Which nodes need not run, and which elementwise nodes become one loop.

A loop that computes three elementwise nodes reads and writes memory once instead of three times,
and what only the next node reads is never written at all. A node joins an earlier loop when it runs
over as many elements in the same order and nothing in between depends on it or is needed by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from descent.compiler.graph import Map, Node, View

__all__ = ["Group", "fused", "overlap", "restride"]

REACH = 12  # how many nodes back a loop to join is looked for
LARGEST = 24  # elementwise nodes in one loop


class Group(Node):
    """Elementwise nodes over one shape, in order: one loop."""

    def __init__(self, first: Map) -> None:
        super().__init__(origin=first.origin)
        self.shape = first.target.shape
        self.members: list[Map] = [first]

    def reads(self) -> Iterable[View]:
        """What comes from memory: not what an earlier member of the loop made."""
        made: list[View] = []
        for m in self.members:
            for v in m.reads():
                if v not in made:
                    yield v
            made.append(m.target)

    def writes(self) -> Iterable[View]:
        yield from (m.target for m in self.members)

    def accepts(self, node: Map) -> Map | None:
        """The node with its views over this loop's shape, or None when it cannot join."""
        if len(self.members) >= LARGEST or node.target.size != int(np.prod(self.shape, dtype=int)):
            return None
        views = [restride(o, self.shape) if isinstance(o, View) else o for o in node.operands]
        target = restride(node.target, self.shape)
        if target is None or any(v is None for v in views):
            return None
        made = [m.target for m in self.members]
        read = [o for m in self.members for o in m.operands if isinstance(o, View)]
        for v in (o for o in views if isinstance(o, View)):
            if any(overlap(v, t) and v != t for t in made):
                return None
        for v in (*read, *made):
            if overlap(v, target) and v != target:
                return None
        return Map(node.fn, target, views, node.metas, origin=node.origin)


def restride(v: View, shape: tuple[int, ...]) -> View | None:
    """The same elements in the same order under another shape, without a copy; else None."""
    if v.shape == shape:
        return v
    if v.contiguous:
        return v.reshaped(shape)
    size = v.dtype.itemsize
    array = np.lib.stride_tricks.as_strided(
        v.buffer.array[v.offset :], v.shape, tuple(s * size for s in v.strides)
    )
    try:
        array = np.reshape(array, shape, copy=False)
    except ValueError:
        return None
    return View(v.buffer, v.offset, shape, tuple(s // size for s in array.strides))


def overlap(a: View, b: View) -> bool:
    """Whether two views may share an element."""
    if a.buffer is not b.buffer:
        return False
    (low, high), (low_b, high_b) = a.span(), b.span()
    return low < high_b and low_b < high


def conflicts(a: Node, b: Node) -> bool:
    """Whether the order of two nodes matters."""
    writes_a, writes_b = list(a.writes()), list(b.writes())
    return _meet(writes_a, b.reads()) or _meet(writes_b, a.reads()) or _meet(writes_a, writes_b)


def _meet(some: Iterable[View], others: Iterable[View]) -> bool:
    others = list(others)
    return any(overlap(v, w) for v in some for w in others)


def fused(nodes: list[Any]) -> list[Any]:
    """The nodes with elementwise ones gathered into loops, in an order that means the same."""
    out: list[Any] = []
    for node in nodes:
        if not isinstance(node, Map):
            out.append(node)
            continue
        if not _join(out, node):
            out.append(Group(node))
    return out


def _join(out: list[Any], node: Map) -> bool:
    between: list[Any] = []
    for at in range(len(out) - 1, max(-1, len(out) - 1 - REACH), -1):
        group = out[at]
        if isinstance(group, Group):
            joined = group.accepts(node)
            if joined is not None:
                if not any(conflicts(b, node) for b in between):  # the node moves up
                    group.members.append(joined)
                    return True
                if not any(conflicts(group, b) for b in between):  # the loop moves down
                    group.members.append(joined)
                    out.append(out.pop(at))
                    return True
        between.append(group)
    return False
