"""From nodes to works: what becomes of each node, with its loops as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.compiler.fuse import Group
from descent.compiler.graph import (
    Buffer,
    Check,
    Gather,
    Loops,
    Node,
    Product,
    Reduce,
    ScatterAdd,
    UpdateNode,
    View,
)  # fmt: skip
from descent.compiler.loops import LoopWorks, letter
from descent.compiler.product_works import ProductWorks
from descent.compiler.shadow import Unsupported
from descent.compiler.translate import Translator
from descent.compiler.work import Access, Work, access

__all__ = ["Works"]

_FLAGS = Buffer(-1, "flags", np.zeros(1, np.int64))  # stands for the step's error flags


class Works(LoopWorks, ProductWorks):
    """Builds the works of a step."""

    def __init__(self, precision: str = "float32") -> None:
        self.precision = precision  # of products
        self.translator = Translator()
        self.scratch_buffers: list[Buffer] = []
        self.done: list[Work] = []
        self._next = 1_000_000
        self.packed: dict[tuple[Any, ...], View] = {}
        self.checks = False  # whether a work before may find a wrong index

    def temporary(self, size: int, dtype: Any = np.float32) -> View:
        """Working memory shared by all threads."""
        self._next += 1
        buffer = Buffer(self._next, "temporary", np.empty(max(size, 1), dtype))
        self.scratch_buffers.append(buffer)
        return View(buffer, 0, (max(size, 1),), (1,))

    def add(self, node: Node) -> None:
        """Append the works of one node."""
        kind = type(node)
        found = {
            Group: self._group, Reduce: self._reduce, Product: self._product, Loops: self._loops,
            Check: self._check, Gather: self._gather, ScatterAdd: self._scatter,
            UpdateNode: self._update,
        }[kind](node)  # fmt: skip
        for work in found:
            work.title = work.title or node.origin
            if any("flags[0] = 1" in line for line in work.body):
                self.checks = True
                work.accesses.append(Access(_FLAGS, 0, 1, False, True))
            if self.checks and any(a.writes and a.buffer.kind == "kept" for a in work.accesses):
                work.accesses.append(Access(_FLAGS, 0, 1, False, False))  # after all checks
                stop = [
                    "if flags[0] != 0:  # a wrong index: nothing that lasts is changed",
                    "    return",
                ]
                work.body = [*stop, *work.body]
            self.done.append(work)

    # -- declared loops --------------------------------------------------------------------------

    def _loops(self, node: Loops) -> list[Work]:
        fn = node.fn
        module, path = node.path if node.path[0] else (fn.py.__module__, fn.py.__name__)
        name = f"{module.rsplit('.', 1)[-1]}_{fn.py.__name__}"
        views = [*node.inputs, *node.outputs]
        units = node.rows if node.by_row or node.columns else 1
        names = [letter(i) for i in range(len(views))]
        parts, accesses = [], []
        for i, v in enumerate(views):
            writes = i >= len(node.inputs) or i in node.changes
            cut = bool(node.by_row) and node.by_row[i] and units > 1
            if len(v.shape) <= 1:
                text = f"{names[i]}[:{v.size}]"
            else:
                text = f"{names[i]}[:{v.size}].reshape({v.shape})"
            if cut and not node.columns:
                text += "[lo:hi]"
            parts.append(text)
            accesses.append(access(v, units, writes, not cut))
        metas = [self._meta(m) for m in node.metas]
        edges = ["lo", "hi"] if node.columns else []
        if node.columns and node.by_row:  # flat arrays and entry numbers
            parts = [f"{names[i]}[:{v.size}]" for i, v in enumerate(views)]
        body = [f"{name}({', '.join([*edges, *parts, *metas])})"]
        return [Work(name, body, views, units, accesses, node.operations,
                     imports={name: (module, path)})]  # fmt: skip

    def _meta(self, value: Any) -> str:
        if type(value) is np.float32:
            return self.translator.constant(float(value))
        if value is None or isinstance(value, (bool, int, float, str)):
            return repr(value)
        if isinstance(value, tuple) and all(type(v) in (int, float) for v in value):
            return repr(value)
        raise Unsupported(f"a setting of type {type(value).__name__}")

    # -- lookups -----------------------------------------------------------------------------------

    def _gather(self, node: Gather) -> list[Work]:
        v, width = node.table.shape
        rows = node.places.size
        body = [
            "for r in range(hi - lo):",
            "    place = places[r]",
            f"    if place < 0 or place >= {v}:",
            "        flags[0] = 1",
            "        place = 0",
            f"    row = a[place * {width}:]",
            f"    for c in range({width}):",
            f"        y[r * {width} + c] = row[c]",
        ]
        accesses = [
            access(node.table, 1, False, True),
            access(node.places, rows, False),
            access(node.target, rows, True),
        ]
        return [Work("gather", body, [node.table, node.places, node.target], rows, accesses,
                     node.target.size, parameters=["a", "places", "y"],
                     steps=[0, 1, width])]  # fmt: skip

    def _check(self, node: Check) -> list[Work]:
        body = [
            "for i in range(hi - lo):",
            f"    if (a[i] < 0 or a[i] >= {node.high}) and a[i] != {node.allowed}:",
            "        flags[0] = 1",
        ]
        n = node.places.size
        return [Work("check", body, [node.places], n, [access(node.places, n, False)], n,
                     steps=[1])]  # fmt: skip

    def _scatter(self, node: ScatterAdd) -> list[Work]:
        v, width = node.target.shape
        lines = [
            f"for r in range({node.places.size}):",
            "    place = places[r]",
            f"    if place >= 0 and place < {v}:",
            f"        row, out = a[r * {width} + lo:], y[place * {width} + lo:]",
            "        for c in range(hi - lo):",
            "            out[c] += row[c]",
        ]
        zero = (
            []
            if node.accumulate
            else [
                f"for r in range({v}):",
                f"    out = y[r * {width} + lo:]",
                "    for c in range(hi - lo):",
                "        out[c] = 0",
            ]
        )
        accesses = [
            access(node.rows, 1, False, True),
            access(node.places, 1, False, True),
            access(node.target, 1, True, True),
        ]
        return [Work("scatter_add", [*zero, *lines], [node.rows, node.places, node.target], width,
                     accesses, node.target.size + 2 * node.rows.size,
                     parameters=["a", "places", "y"])]  # fmt: skip

    # -- optimisers --------------------------------------------------------------------------------

    def _update(self, node: UpdateNode) -> list[Work]:
        rule, size = node.rule, node.arrays[0].size
        single = node.arrays[0].dtype == np.float32
        kinds = [v.dtype for v in node.arrays]
        name = self.translator.function(rule.scalar, [], kinds)
        letters = [n.upper() for n in rule.arrays]
        rounding = "np.float32({})" if single else "{}"
        body = [
            f"{c} = {rounding.format(f'numbers[{i}]')}" for i, c in enumerate(rule.coefficients)
        ]
        written = ", ".join(f"{n.upper()}[i]" for n in rule.writes)
        inputs = ", ".join([*(f"{n}[i]" for n in letters), *rule.coefficients])
        body += ["for i in range(hi - lo):", f"    {written} = {name}({inputs})"]
        views = [v.reshaped((size,)) for v in node.arrays]
        accesses = [access(v, size, i in node.writes_at) for i, v in enumerate(views)]
        return [Work(rule.name, body, views, size, accesses, 6 * size * len(views),
                     numbers=node.coefficients, parameters=letters,
                     steps=[1] * len(views))]  # fmt: skip
