"""From nodes to works: pieces of the step with their loops as text, and how each can be divided.

A work has `units`, and its function does units lo … hi of it. Every access to a buffer says whether
unit i of n touches the i-th n-th of the buffer only ("share") or anything ("all"): two works that
touch each other's shares alone can follow one another on one thread without waiting for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from descent.compiler.fuse import Group, restride
from descent.compiler.graph import (
    Buffer, Check, Gather, Loops, Node, Product, Reduce, ScatterAdd, UpdateNode, View,
)  # fmt: skip
from descent.compiler.shadow import Unsupported
from descent.compiler.translate import Translator
from descent.ops.tiles import WIDTH, panels_size

__all__ = ["Access", "Work", "Works"]

SMALL_PANELS = 1 << 16  # floats of a packed operand that is packed once and shared by all threads
CHUNK = 1 << 17  # floats of panels that one thread packs at a time: half the second cache


class Access(NamedTuple):
    """How a work touches a buffer."""

    buffer: Buffer
    low: int
    high: int
    shared: bool  # unit i touches its share alone
    writes: bool


_FLAGS = Buffer(-1, "flags", np.zeros(1, np.int64))  # stands for the step's error flags


@dataclass(eq=False)
class Work:
    """One piece of the step.

    Attributes:
        body: lines of its function after the signature `def name(lo, hi, <arguments>):`.
        arguments: Views (flat arrays that begin there), in the order of the parameters.
        numbers: offset of its first coefficient among the step's numbers (None: it has none).
        scratch: float32 numbers of working memory that each thread needs.
        operations: a rough count, to decide on threads.
    """

    name: str
    body: list[str]
    arguments: list[View]
    units: int
    accesses: list[Access]
    operations: int
    title: str = ""
    parameters: Sequence[str] | None = None
    steps: list[int] | None = None  # elements from one unit to the next, per argument
    numbers: int | None = None
    scratch: int = 0
    reorder: bool = False
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    hoistable: bool = False

    def touches(self, other: Work) -> tuple[bool, bool]:
        """Whether the order of two works matters, and whether equal shares keep it."""
        matters, shares = False, True
        for a in self.accesses:
            for b in other.accesses:
                if (
                    a.buffer is b.buffer
                    and (a.writes or b.writes)
                    and a.low < b.high
                    and b.low < a.high
                ):
                    matters = True
                    shares = shares and a.shared and b.shared
        return matters, shares


def access(v: View, units: int, writes: bool, anywhere: bool = False) -> Access:
    """How a view is touched when its leading axes are divided into `units`."""
    low, high = v.span()
    return Access(v.buffer, low, high, not anywhere and in_shares(v, units), writes)


def in_shares(v: View, units: int) -> bool:
    """Whether the i-th of `units` equal parts of the view's leading axis (or of all its elements,
    when contiguous) lies in the i-th part of the buffer."""
    if units <= 1 or v.buffer.size % units:
        return units == 1 and False
    part = v.buffer.size // units
    if v.whole:
        return True
    lead, inner_shape, inner_strides = 1, list(v.shape), list(v.strides)
    step = None
    while inner_shape and lead < units:
        n, s = inner_shape.pop(0), inner_strides.pop(0)
        if n == 1:
            continue
        if step is not None and step != s * n:
            return False
        lead, step = lead * n, s
    if lead != units or step != part:
        return False
    extent = sum((n - 1) * s for n, s in zip(inner_shape, inner_strides) if s > 0)
    negative = any(s < 0 for s in inner_strides)
    return not negative and v.offset + extent < part


class Works:
    """Builds the works of a step."""

    def __init__(self, precision: str = "float32") -> None:
        self.precision = precision  # of products
        self.translator = Translator()
        self.scratch_buffers: list[Buffer] = []
        self.list: list[Work] = []
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
            Check: self._check, Gather: self._gather, ScatterAdd: self._scatter, UpdateNode: self._update,
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
            self.list.append(work)

    # -- elementwise loops -----------------------------------------------------------------------

    def _group(self, group: Group, needed: Any = None) -> list[Work]:
        shape, views = group.shape, []
        for m in group.members:
            views += [o for o in m.operands if isinstance(o, View)] + [m.target]
        dims, strides = collapse(shape, [v.strides for v in views])
        steps = dict(zip(map(_key, views), strides))
        names: dict[Any, str] = {}  # memory (buffer, offset) → parameter
        arguments: list[View] = []
        unit_steps: list[int] = []

        def place(v: View) -> str:
            step = steps[_key(v)]
            first = max(step[0], 0) if step else 0
            lowest = v.offset + sum((n - 1) * s for n, s in zip(dims, step) if s < 0)
            key = (id(v.buffer), lowest, first)
            if key not in names:
                names[key] = _letter(len(arguments))
                arguments.append(View(v.buffer, lowest, (), ()))
                unit_steps.append(first)
            return f"{names[key]}[{_index(step, dims)}]"

        lines, values = [], {}
        for i, m in enumerate(group.members):
            parts = []
            for o in m.operands:
                if not isinstance(o, View):
                    parts.append(self._number(o, m))
                elif _key(o) in values:
                    parts.append(values[_key(o)])
                else:
                    values[_key(o)] = f"v{len(values)}"
                    lines.append(f"{values[_key(o)]} = {place(o)}")
                    parts.append(values[_key(o)])
            result = f"t{i}"
            lines.append(f"{result} = {self._call(m, parts)}")
            values[_key(m.target)] = result
            if not m.silent:
                lines.append(f"{place(m.target)} = {result}")
        body, units = _nest(dims, lines)
        accesses = [access(restride(v, dims) or v, units, False) for v in group.reads()]
        accesses += [
            access(restride(m.target, dims) or m.target, units, True)
            for m in group.members
            if not m.silent
        ]
        label = "_".join(dict.fromkeys(_word(m.fn) for m in group.members))[:40]
        cost = prod(shape) * sum(_weight(m.fn) for m in group.members)
        return [Work(label, body, arguments, units, accesses, cost, steps=unit_steps)]

    def _number(self, value: Any, m: Any) -> str:
        if isinstance(value, (bool, np.bool_)):
            return str(bool(value))
        if m.target.dtype == np.float32 or any(
            isinstance(o, View) and o.dtype == np.float32 for o in m.operands
        ):
            return self.translator.constant(value)
        return repr(value)

    def _call(self, m: Any, parts: list[str]) -> str:
        kinds = [o.dtype for o in m.operands if isinstance(o, View)] + [m.target.dtype]
        if m.fn.__name__ == "same":
            text = parts[0]
        else:
            text = f"{self.translator.function(m.fn, m.metas, kinds)}({', '.join(parts)})"
        return _as_stored(m, text)

    # -- sums --------------------------------------------------------------------------------------

    def _reduce(self, node: Reduce) -> list[Work]:
        s, t = node.source, node.target
        kept = s.shape[: node.kept]
        outer, o_steps = collapse(kept, [s.strides[: node.kept], t.strides])
        inner, (i_steps,) = collapse(s.shape[node.kept :], [s.strides[node.kept :]])
        n = prod(inner)
        zero = {"sum": "total = zero", "max": "total = -infinity"}[node.kind]
        scaled = f"total * {self.translator.constant(node.scale)}"
        if s.dtype != np.float32:
            scaled = "total" if node.scale == 1.0 else f"total * {node.scale!r}"
        elif node.scale == 1.0:
            scaled = "total"
        kind = s.dtype.name
        number = f"np.{kind}" if s.dtype != np.bool_ else "np.int64"
        head = [f"zero = {number}(0)"]
        if node.kind == "max":
            head = [f"infinity = {number}(np.inf)"]
        if any(x < 0 for steps in (*o_steps, i_steps) for x in steps):
            raise Unsupported("a sum over a view that runs backwards")
        firsts = [steps[0] if steps else 0 for steps in o_steps]
        columns = len(outer) == 1 and o_steps[0] == (1,) and i_steps and min(i_steps) > 1
        if columns and node.kind == "sum" and len(inner) == 1:
            body = [
                *head, "for i0 in range(hi - lo):", "    b[i0] = zero",
                f"for j in range({n}):", "    for i0 in range(hi - lo):",
                f"        b[i0] += a[i0 + j * {i_steps[0]}]",
            ]  # fmt: skip
            if scaled != "total":
                body += ["for i0 in range(hi - lo):", f"    b[i0] = b[i0] {scaled[5:]}"]
        else:
            long = n > 2048 and s.dtype == np.float32 and node.kind == "sum"
            if long:
                head = ["zero = np.float64(0)"]
                scaled = f"np.float32(total * {node.scale!r})"
            loops = [zero]
            for d, (count, step) in enumerate(zip(inner, i_steps)):
                loops.append("    " * d + f"for j{d} in range({count}):")
            at = " + ".join([_index(o_steps[0]), *(f"j{d} * {x}" for d, x in enumerate(i_steps))])
            item = f"a[{at}]"
            last = f"total += {item}" if node.kind == "sum" else f"total = max(total, {item})"
            loops.append("    " * len(inner) + last)
            loops.append(f"b[{_index(o_steps[1])}] = {scaled}")
            body, _ = _nest(outer, loops)
            body = [*head, *body]
        units = outer[0] if outer else 1
        flat = View(s.buffer, s.offset, s.shape, s.strides)
        accesses = [access(flat, units, False), access(t, units, True)]
        return [Work(node.kind, body, [s, t], units, accesses, s.size, reorder=True, steps=firsts)]

    # -- products ----------------------------------------------------------------------------------

    def _product(self, node: Product) -> list[Work]:
        y, a, c = node.y, node.a, node.c
        if y.dtype != np.float32:
            return self._plain_product(node)
        (b, m, k), n = a.shape, c.shape[2]
        panels = (n + WIDTH - 1) // WIDTH
        narrow = self.precision == "bf16" and k >= 32
        module = "descent.ops.bf16" if narrow else "descent.ops.tiles"
        imports = {n + "_bf16" * narrow: (module, n) for n in ("pack", "product")}
        pack, product = imports
        scratch = "words" if narrow else "scratch"
        mode, bias = ("1", "bias") if node.bias is not None else ("0", "y")
        arguments = [a, c, y, *([node.bias] if node.bias is not None else [])]
        names = "a, c, y, bias".split(", ")[: len(arguments)]
        cost = 2 * b * m * n * k // 16
        if b > 1:
            body = [
                "for b in range(lo, hi):",
                f"    cb, ab, yb = c[b * {c.strides[0]}:], a[b * {a.strides[0]}:], "
                f"y[b * {y.strides[0]}:]",
                f"    {pack}(cb, {c.strides[1]}, {c.strides[2]}, {k}, {n}, {scratch}, 0, {panels})",
                f"    {product}(ab, {a.strides[1]}, {a.strides[2]}, {scratch}, {k}, {n}, yb, "
                f"{y.strides[1]}, 0, {m}, 0, {panels}, {mode}, {bias}b)",
            ]
            accesses = [access(v, b, v is y) for v in (a, c, y)]
            return [Work("batched_product", body, arguments, b, accesses, cost, parameters=names,
                         scratch=panels_size(k, n), imports=imports)]  # fmt: skip
        a_row, a_col = a.strides[1:]
        if m == 1:
            a_row = 0
        by_rows = panels_size(k, n) <= SMALL_PANELS and m >= 4 * panels
        if by_rows:
            packed, first = self._packed(
                c, k, n, panels, imports, np.int32 if narrow else np.float32
            )
            body = [
                f"{product}(a, {a_row}, {a_col}, c, {k}, {n}, y, {y.strides[1]}, lo, hi, 0, "
                f"{panels}, {mode}, {bias})"
            ]
            rows = [restride(v, (m, v.shape[2])) or v for v in (a, y)]
            accesses = [
                access(rows[0], m, False),
                access(rows[1], m, True),
                access(packed, 1, False, True),
            ]
            if node.bias is not None:
                accesses.append(access(node.bias, 1, False, True))
            arguments[1] = packed
            work = Work("product", body, arguments, m, accesses, cost, parameters=names,
                        imports=imports)  # fmt: skip
            work.title = f"{m}×{k} · {k}×{n}  {node.origin}"
            return [*first, work]
        chunk = max(1, min(panels, (CHUNK << narrow) // max(k * WIDTH, 1)))
        body = [
            f"for first in range(lo, hi, {chunk}):",
            f"    last = min(first + {chunk}, hi)",
            f"    left = first * {WIDTH}",
            f"    n = min({n} - left, (last - first) * {WIDTH})",
            f"    {pack}(c[left * {c.strides[2]}:], {c.strides[1]}, {c.strides[2]}, {k}, n, {scratch}, "
            "0, last - first)",
            f"    {product}(a, {a_row}, {a_col}, {scratch}, {k}, n, y[left:], {y.strides[1]}, 0, {m}, "
            f"0, last - first, {mode}, {bias if bias == 'y' else 'bias[left:]'})",
        ]
        accesses = [access(v, 1, v is y, True) for v in arguments]
        work = Work("product_by_columns", body, arguments, panels, accesses, cost, parameters=names,
                    scratch=chunk * k * WIDTH, imports=imports)  # fmt: skip
        work.title = f"{m}×{k} · {k}×{n}  {node.origin}"
        return [work]

    def _packed(self, c: View, k: int, n: int, panels: int, imports: Any, kind: Any) -> Any:
        """The panels of c, and the work that packs them (nothing when they are there already)."""
        key = (id(c.buffer), c.offset, c.shape, c.strides)
        pack = next(iter(imports))
        if key in self.packed and self._unchanged(key, c):
            return self.packed[key], []
        packed = self.temporary(panels_size(k if kind == np.float32 else (k + 1) // 2, n), kind)
        self.packed[key] = packed
        body = [f"{pack}(c, {c.strides[1]}, {c.strides[2]}, {k}, {n}, y, lo, hi)"]
        accesses = [access(c, 1, False, True), access(packed, panels, True)]
        work = Work("pack", body, [c, packed], panels, accesses, k * n // 4, imports=imports,
                    parameters=["c", "y"])  # fmt: skip
        work.hoistable = True
        return packed, [work]

    def _unchanged(self, key: Any, c: View) -> bool:
        """Whether nothing wrote to c since it was packed."""
        packed = self.packed[key]
        at = max(
            i
            for i, w in enumerate(self.list)
            if any(x.buffer is packed.buffer and x.writes for x in w.accesses)
        )
        low, high = c.span()
        return not any(
            x.writes and x.buffer is c.buffer and x.low < high and low < x.high
            for w in self.list[at + 1 :]
            for x in w.accesses
        )

    def _plain_product(self, node: Product) -> list[Work]:
        """float64 and others: three loops."""
        y, a, c = node.y, node.a, node.c
        (b, m, k), n = a.shape, c.shape[2]
        start = f"bias[j * {node.bias.strides[0]}]" if node.bias is not None else "zero"
        at = lambda v, i, j: f"b * {v.strides[0]} + {i} * {v.strides[1]} + {j} * {v.strides[2]}"  # noqa: E731
        kind = f"np.{y.dtype.name}"
        body = [
            f"zero = {kind}(0)",
            "for unit in range(lo, hi):",
            f"    b, i = unit // {m}, unit % {m}",
            f"    for j in range({n}):",
            f"        total = {start}",
            f"        for p in range({k}):",
            f"            total += a[{at(a, 'i', 'p')}] * c[{at(c, 'p', 'j')}]",
            f"        y[{at(y, 'i', 'j')}] = total",
        ]
        arguments = [a, c, y, *([node.bias] if node.bias is not None else [])]
        accesses = [access(v, 1, v is y, True) for v in arguments]
        return [Work("plain_product", body, arguments, b * m, accesses, 2 * b * m * n * k,
                     parameters=["a", "c", "y", "bias"][: len(arguments)], reorder=True)]  # fmt: skip

    # -- declared loops ------------------------------------------------------------------------------

    def _loops(self, node: Loops) -> list[Work]:
        fn = node.fn
        module, path = node.path if node.path[0] else (fn.py.__module__, fn.py.__name__)
        name = f"{module.rsplit('.', 1)[-1]}_{fn.py.__name__}"
        views = [*node.inputs, *node.outputs]
        units = node.rows if node.by_row or node.columns else 1
        names = [_letter(i) for i in range(len(views))]
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
        if isinstance(value, np.float32):
            return self.translator.constant(float(value))
        if value is None or isinstance(value, (bool, int, float, str)):
            return repr(value)
        if isinstance(value, tuple) and all(isinstance(v, (int, float)) for v in value):
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
                     node.target.size, parameters=["a", "places", "y"], steps=[0, 1, width])]  # fmt: skip

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
                     numbers=node.coefficients, parameters=letters, steps=[1] * len(views))]  # fmt: skip


def _key(v: View) -> tuple[Any, ...]:
    return (id(v.buffer), v.offset, v.strides, v.shape)


def _letter(i: int) -> str:
    return "abcdefghjkmnopqrsuwxyz"[i] if i < 22 else f"a{i}"


def _word(fn: Any) -> str:
    return fn.__name__.rstrip("_") if fn.__name__ != "_" else "grad"


def _as_stored(m: Any, text: str) -> str:
    """The value as memory would give it back: what reads it in the same loop must see that the
    dtype cuts, wraps or rounds it."""
    given, kind = {o.dtype for o in m.operands if isinstance(o, View)}, m.target.dtype
    if kind == np.bool_:
        compares = m.fn.__module__ == "descent.ops.comparisons"
        return (
            text if compares or (m.fn.__name__ == "same" and given == {kind}) else f"bool({text})"
        )
    if given == {kind} and kind.itemsize >= 4 and kind != np.int32:
        return text
    return f"np.{kind.name}({text})"


def _weight(fn: Any) -> int:
    """A rough cost of one call."""
    names = fn.__code__.co_names
    return 10 if any(n in names for n in ("exp", "tanh", "log", "erf_scalar", "sin", "cos")) else 1


def collapse(
    shape: tuple[int, ...], strides: list[tuple[int, ...]]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Merge neighbouring axes that every array steps through as through one; drop axes of 1."""
    dims: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d, n in enumerate(shape):
        if n == 1:
            continue
        here = [s[d] for s in strides]
        if dims and all(x[-1] == s * n for x, s in zip(steps, here)):
            dims[-1] *= n
            for x, s in zip(steps, here):
                x[-1] = s
        else:
            dims.append(n)
            for x, s in zip(steps, here):
                x.append(s)
    return tuple(dims), [tuple(x) for x in steps]


def _index(steps: tuple[int, ...], dims: tuple[int, ...] = ()) -> str:
    """Where an element stands, from the loop variables; an axis that runs backwards is counted
    from its end (from unit lo, for the first)."""
    parts = []
    for d, s in enumerate(steps):
        if s < 0:
            i = f"({dims[d] - 1} - lo - i0)" if d == 0 else f"({dims[d] - 1} - i{d})"
        else:
            i = f"i{d}"
        if s:
            parts.append(i if abs(s) == 1 else f"{i} * {abs(s)}")
    return " + ".join(parts) or "0"


def _nest(dims: tuple[int, ...], lines: list[str]) -> tuple[list[str], int]:
    """The lines inside one loop per axis, the first of them over units lo … hi."""
    if not dims:
        return lines, 1
    out = ["for i0 in range(hi - lo):"]
    for d, n in enumerate(dims[1:], 1):
        out.append("    " * d + f"for i{d} in range({n}):")
    out += ["    " * len(dims) + line for line in lines]
    return out, dims[0]
