"""Loops as text: elementwise nodes and sums.

Axes that every array steps through as through one are merged; the first that is left is divided
into units. Loops count from 0 over arrays that begin at unit lo.
"""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

import numpy as np

from descent.compiler.fuse import Group, restride
from descent.compiler.graph import Reduce, View
from descent.compiler.shadow import Unsupported
from descent.compiler.translate import Translator
from descent.compiler.work import Work, access

__all__ = ["LoopWorks", "collapse"]


class LoopWorks:
    """The part of `Works` that writes loops."""

    translator: Translator

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
                names[key] = letter(len(arguments))
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
        if isinstance(value, float) and not isfinite(value):
            return f"np.{value!r}".replace("np.-", "-np.")
        return repr(value)

    def _call(self, m: Any, parts: list[str]) -> str:
        kinds = [o.dtype for o in m.operands if isinstance(o, View)] + [m.target.dtype]
        if m.fn.__name__ == "same":
            text = parts[0]
        else:
            text = f"{self.translator.function(m.fn, m.metas, kinds)}({', '.join(parts)})"
        return _as_stored(m, text)

    def _reduce(self, node: Reduce) -> list[Work]:
        s, t = node.source, node.target
        kept = s.shape[: node.kept]
        outer, o_steps = collapse(kept, [s.strides[: node.kept], t.strides])
        inner, (i_steps,) = collapse(s.shape[node.kept :], [s.strides[node.kept :]])
        n = prod(inner)
        zero = {"sum": "total = zero", "max": "total = lowest"}[node.kind]
        scaled = f"total * {self.translator.constant(node.scale)}"
        if s.dtype != np.float32:
            scaled = "total" if node.scale == 1.0 else f"total * {node.scale!r}"
        elif node.scale == 1.0:
            scaled = "total"
        kind = s.dtype.name
        number = f"np.{kind}" if s.dtype != np.bool_ else "np.int64"
        head = [f"zero = {number}(0)"]
        if node.kind == "max":
            least = "-np.inf" if s.dtype.kind == "f" else int(np.iinfo(s.dtype).min)
            head = [f"lowest = {number}({least})"]
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
            for d, count in enumerate(inner):
                loops.append("    " * d + f"for j{d} in range({count}):")
            at = " + ".join([_index(o_steps[0]), *(f"j{d} * {x}" for d, x in enumerate(i_steps))])
            item = f"a[{at}]"
            last = [f"total += {item}"]
            if node.kind == "max":  # NaN, once met, stays
                last = [f"item = {item}", "total = item if item > total or item != item else total"]
            loops += ["    " * len(inner) + line for line in last]
            loops.append(f"b[{_index(o_steps[1])}] = {scaled}")
            body, _ = _nest(outer, loops)
            body = [*head, *body]
        units = outer[0] if outer else 1
        flat = View(s.buffer, s.offset, s.shape, s.strides)
        accesses = [access(flat, units, False), access(t, units, True)]
        return [Work(node.kind, body, [s, t], units, accesses, s.size, reorder=True, steps=firsts)]


def _key(v: View) -> tuple[Any, ...]:
    return (id(v.buffer), v.offset, v.strides, v.shape)


def letter(i: int) -> str:
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
