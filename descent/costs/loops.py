"""Operations counted in the source of an op: its loops read once by `ast`, never run.

    for r in prange(x.shape[0]): for c in range(x.shape[1]): y[r] += x[r, c] · w[c]     →  2 · R · C

An operator (+ − · / ** …), a comparison and a call (exp, sqrt, max, …) of numbers count as one
operation each, as is customary; index arithmetic and expressions of sizes alone count as nothing. A
sum that peels off its first term counts as one that began at zero, so a dot product of K terms is
2 K. Of two branches the dearer one counts. A loop's variable stands for its mean, which is exact
where a bound depends on it linearly (triangles), and an integer array that bounds a loop (how many
keys a query sees) for the mean of its numbers.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import operator
import textwrap
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from descent.kernel import Kernel

__all__ = ["Uncountable", "count_operations"]

_CASTS = {"float32", "float64", "int32", "int64", "uint32", "int", "float", "bool", "view", "len"}
_EXTENT = {"range", "prange"}


class Uncountable(ValueError):
    """The source has a loop whose length its sizes do not tell."""


def count_operations(fn: Callable[..., Any], known: dict[str, Any]) -> float:
    """Operations of one call of `fn`.

    Args:
        known: what the parameters are: arrays, shapes (a tuple of ints stands for an array) or
            numbers. A parameter that is missing is a number nobody knows.

    Raises:
        Uncountable: no source, or a loop that depends on more than sizes.
    """
    return _Count(fn, dict(known)).block(_body(fn))


@functools.lru_cache(maxsize=1024)
def _body(fn: Callable[..., Any]) -> list[ast.stmt]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    except (OSError, TypeError, SyntaxError):
        raise Uncountable(f"{fn} has no source that stands alone") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            return node.body
        if isinstance(node, ast.Lambda):
            return [ast.Expr(node.body)]
    raise Uncountable(f"{fn} is no function")


class _Count:
    """One reading of one function; `known` grows with the assignments."""

    def __init__(self, fn: Callable[..., Any], known: dict[str, Any], depth: int = 0) -> None:
        self.fn, self.known, self.depth = fn, known, depth

    # -- statements --------------------------------------------------------------------------

    def block(self, body: list[ast.stmt]) -> float:
        total = 0.0
        for i, s in enumerate(body):
            if isinstance(s, ast.If) and isinstance(s.body[-1], ast.Return):
                rest = ast.If(s.test, s.body, [*s.orelse, *body[i + 1 :]])
                return total + self.branches(rest)
            total += self.statement(s)
        return total

    def statement(self, s: ast.stmt) -> float:
        if isinstance(s, ast.For):
            return self.loop(s)
        if isinstance(s, ast.If):
            return self.branches(s)
        if isinstance(s, ast.Assign):
            self.bind(s.targets[0], s.value)
            return self.cost(s.value)
        if isinstance(s, ast.AugAssign):
            if isinstance(s.target, ast.Name) and self.value(s) is not None:
                return 0.0
            self.bind(s.target, None)
            return 1 + self.cost(s.value)
        if isinstance(s, (ast.Expr, ast.Return)):
            return self.cost(s.value)
        if isinstance(s, ast.While):
            raise Uncountable("a while loop")
        return 0.0

    def bind(self, target: ast.expr, value: ast.expr | None) -> None:
        """Remember sizes; forget a name that now holds a number nobody knows."""
        if isinstance(target, ast.Tuple):
            parts = value.elts if isinstance(value, ast.Tuple) else [None] * len(target.elts)
            shape = self.value(value) if value is not None else None
            for i, t in enumerate(target.elts):
                if isinstance(shape, tuple) and isinstance(t, ast.Name) and i < len(shape):
                    self.known[t.id] = shape[i]
                else:
                    self.bind(t, parts[i] if i < len(parts) else None)
        elif isinstance(target, ast.Name):
            found = self.value(value) if value is not None else None
            if found is None:
                self.known.pop(target.id, None)
            else:
                self.known[target.id] = found

    def loop(self, s: ast.For) -> float:
        call = s.iter
        if not (isinstance(call, ast.Call) and _name(call.func) in _EXTENT):
            raise Uncountable("a loop over something other than a range")
        bounds = [self.value(a) for a in call.args]
        if any(not isinstance(b, (int, float)) for b in bounds):
            raise Uncountable(f"range({', '.join(map(ast.unparse, call.args))})")
        start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
        peeled = len(call.args) == 2 and isinstance(call.args[0], ast.Constant) and start == 1
        trips = max(0.0, (stop - (0 if peeled else start)) / step)
        if isinstance(s.target, ast.Name):
            self.known[s.target.id] = (start + stop - step) / 2
        inside = self.block(s.body)
        return trips * inside

    def branches(self, s: ast.If) -> float:
        test = self.value(s.test)
        if test is not None:
            return self.block(s.body if test else s.orelse)
        return self.cost(s.test) + max(self.block(s.body), self.block(s.orelse))

    # -- expressions -------------------------------------------------------------------------

    def cost(self, e: ast.expr | None) -> float:
        if e is None or isinstance(e, (ast.Name, ast.Constant, ast.Attribute, ast.Subscript)):
            return 0.0
        if self.value(e) is not None:
            return 0.0
        if isinstance(e, ast.Call):
            return self.call(e)
        if isinstance(e, ast.IfExp):
            test = self.value(e.test)
            if test is not None:  # `first term if there is one else 0`: the peeled term of a sum
                return 0.0 if isinstance(e.orelse, ast.Constant) else self.cost(e.body)
            return self.cost(e.test) + max(self.cost(e.body), self.cost(e.orelse))
        own = 0.0
        if isinstance(e, (ast.BinOp, ast.Compare)):
            own = 1.0
        elif isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
            own = 1.0
        return own + sum(self.cost(c) for c in ast.iter_child_nodes(e) if isinstance(c, ast.expr))

    def call(self, e: ast.Call) -> float:
        name, inside = _name(e.func), sum(self.cost(a) for a in e.args)
        if isinstance(e.func, ast.Attribute) and name == "view":
            return inside + self.cost(e.func.value)
        if name in _CASTS:
            return inside
        if name in ("max", "min"):
            return inside + max(1, len(e.args) - 1)
        helper = self.helper(e.func)
        if helper is None:
            return inside + 1
        if self.depth > 8:
            raise Uncountable(f"{name} calls itself")
        names = list(inspect.signature(helper).parameters)
        given = {n: v for n, a in zip(names, e.args) if (v := self.operand(a)) is not None}
        return inside + _Count(helper, given, self.depth + 1).block(_body(helper))

    def helper(self, f: ast.expr) -> Callable[..., Any] | None:
        """The function of ours that a call means; None for NumPy's and Python's own."""
        found = self.look_up(f)
        if isinstance(found, Kernel):
            return found.py
        mine = isinstance(found, types.FunctionType) and found.__module__.startswith("descent")
        return found if mine else None

    def look_up(self, f: ast.expr) -> Any:
        if isinstance(f, ast.Attribute):
            return getattr(self.look_up(f.value), f.attr, None)
        if not isinstance(f, ast.Name):
            return None
        fn: Any = self.fn
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or ()):
            if name == f.id:
                return cell.cell_contents
        return fn.__globals__.get(f.id)

    # -- what sizes tell ---------------------------------------------------------------------

    def operand(self, e: ast.expr) -> Any:
        """What is handed to a helper: an array's shape, a row of it, or a number."""
        if isinstance(e, ast.Name):
            found = self.known.get(e.id)
            return self.look_up(e) if found is None else found
        if isinstance(e, ast.Subscript):
            shape = _shape(self.operand(e.value))
            if shape is not None:
                taken = len(e.slice.elts) if isinstance(e.slice, ast.Tuple) else 1
                if len(shape) > taken:
                    return shape[taken:]
        return self.value(e)

    def value(self, e: ast.AST | None) -> Any:
        """The number (or shape) an expression of sizes has; None when it is anything else."""
        if isinstance(e, ast.Constant):
            return e.value if isinstance(e.value, (int, float)) else None
        if isinstance(e, ast.Name):
            found = self.known.get(e.id)
            if found is None:
                found = self.look_up(e)
            return found if isinstance(found, (int, float)) else None
        if isinstance(e, ast.Attribute):
            return self.attribute(e)
        if isinstance(e, ast.Subscript):
            return self.element(e)
        if isinstance(e, ast.AugAssign):
            return None
        return self.arithmetic(e)

    def attribute(self, e: ast.Attribute) -> Any:
        shape = _shape(self.known.get(e.value.id)) if isinstance(e.value, ast.Name) else None
        if shape is None:
            return None
        return {"shape": shape, "size": math.prod(shape), "ndim": len(shape)}.get(e.attr)

    def element(self, e: ast.Subscript) -> Any:
        inside = self.value(e.value) if isinstance(e.value, ast.Attribute) else None
        if isinstance(inside, tuple):
            i = self.value(e.slice)
            return inside[i] if isinstance(i, int) and -len(inside) <= i < len(inside) else None
        array = self.known.get(e.value.id) if isinstance(e.value, ast.Name) else None
        if isinstance(array, np.ndarray) and array.dtype.kind in "iu" and array.size:
            return float(array.mean())
        return None

    def arithmetic(self, e: Any) -> Any:
        if isinstance(e, ast.BinOp):
            parts = [self.value(e.left), self.value(e.right)]
        elif isinstance(e, ast.UnaryOp):
            parts = [self.value(e.operand)]
        elif isinstance(e, ast.Compare):
            parts = [self.value(p) for p in (e.left, *e.comparators)]
        elif isinstance(e, ast.Call) and _name(e.func) == "len":
            found = self.operand(e.args[0])
            return len(found) if isinstance(found, tuple) else None
        elif isinstance(e, ast.Call) and _name(e.func) in _FUNCTIONS:
            parts = [self.value(a) for a in e.args]
        else:
            return None
        if any(not isinstance(p, (int, float)) for p in parts):
            return None
        return _computed(e, parts)


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "int": int, "abs": abs}


def _computed(e: Any, parts: list[Any]) -> Any:
    """The expression of sizes, its parts known; None where it has no value."""
    if isinstance(e, ast.Call):
        return _FUNCTIONS[_name(e.func)](*parts)
    if isinstance(e, ast.Compare):
        kinds = [_OPERATORS.get(type(o)) for o in e.ops]
        if None in kinds:
            return None
        return all(k(a, b) for k, a, b in zip(kinds, parts, parts[1:]) if k is not None)
    compute = _OPERATORS.get(type(e.op))
    try:
        return compute(*parts) if compute is not None else None
    except ArithmeticError:
        return None


def _name(f: ast.expr) -> str:
    return f.id if isinstance(f, ast.Name) else f.attr if isinstance(f, ast.Attribute) else ""


def _shape(known: Any) -> tuple[int, ...] | None:
    if isinstance(known, np.ndarray):
        return known.shape
    return known if isinstance(known, tuple) else None
