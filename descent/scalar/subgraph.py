"""The part of a graph to draw: which nodes, which edges, and the words in each box.

A node at the rim (some of its parents are left out) is marked as cut.
"""

from __future__ import annotations

import math

from descent.scalar.value import Value, topological_order

__all__ = ["Subgraph", "cells", "number"]


class Subgraph:
    """What root was computed from, at most `depth` operations back (None: all of it).

    nodes  Values, parents before children, root last
    edges  (from, to, slot, slope): node numbers, which parent it is, its local derivative or None
    cut    numbers of the nodes with a parent left out
    """

    def __init__(self, root: Value, depth: int | None = None) -> None:
        near = None if depth is None else _within(root, depth)
        self.nodes = [v for v in topological_order(root) if near is None or v in near]
        self.edges: list[tuple[int, int, int, float | None]] = []
        self.cut: set[int] = set()
        index = {node: i for i, node in enumerate(self.nodes)}
        for j, node in enumerate(self.nodes):
            # A closure assigned to `_backward` has no number to show.
            slopes = node.local if isinstance(node.local, tuple) else [None] * len(node.parents)
            for slot, (parent, slope) in enumerate(zip(node.parents, slopes)):
                if parent in index:
                    self.edges.append((index[parent], j, slot, slope))
                else:
                    self.cut.add(j)


def _within(root: Value, depth: int) -> set[Value]:
    """The nodes at most `depth` operations before root by the shortest way."""
    near, level = {root}, {root}
    for _ in range(depth):
        level = {p for v in level for p in v.parents} - near
        near |= level
    return near


def number(x: float) -> str:
    """Four decimals as micrograd prints them; scientific where those would hide the number."""
    if x == 0 or not math.isfinite(x) or 1e-3 <= abs(x) < 1e6:
        return f"{x:.4f}"
    return f"{x:.3e}"


def cells(node: Value) -> list[tuple[str, str]]:
    """(style, text) of each field of a node's box: label if any, data, grad."""
    name = [("name", node.label)] if node.label else []
    return [*name, ("", f"data {number(node.data)}"), ("soft", f"grad {number(node.grad)}")]
