"""A declared op's scalar function as text for a float32 loop.

The source of the function is taken as written, with three changes: settings become constants,
numbers become float32 (a float64 literal would pull the whole loop to float64), and `np.exp`,
`np.tanh` and their like become the vectorisable ones of `descent.ops.vectormath`. Functions that
are not simple arithmetic keep their float64 form and are rounded at the end.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from descent.compiler.shadow import Unsupported
from descent.ops import special
from descent.ops.vectormath import FLOAT32

__all__ = ["Translator"]

_SINGLE = ("arithmetic", "activations", "rectifiers", "exponentials", "losses", "dropping",
           "choices", "comparisons", "logic", "updates", "trigonometry", "rounding")  # fmt: skip
_KNOWN = {special.erf_scalar: "erf"}


class Translator:
    """Collects the functions and constants that a step's source needs."""

    def __init__(self) -> None:
        self.functions: dict[str, str] = {}  # name → text
        self.imports: set[str] = set()  # names from descent.ops.vectormath
        self.borrowed: dict[str, str] = {}  # name → module it is imported from
        self.constants: dict[str, str] = {}  # name → text of its value
        self._done: dict[Any, str] = {}

    def constant(self, value: float) -> str:
        """The name of a float32 constant."""
        value = float(value)
        if math.isnan(value):
            name, text = "NAN", "np.float32(np.nan)"
        elif math.isinf(value):
            name = "INFINITY" if value > 0 else "MINUS_INFINITY"
            text = f"np.float32({'-' if value < 0 else ''}np.inf)"
        else:
            word = repr(value).replace("-", "m").replace(".", "_").replace("+", "")
            name, text = f"F{word}", f"np.float32({value!r})"
        self.constants[name] = text
        return name

    def function(self, fn: Callable[..., Any], metas: list[Any], kinds: list[np.dtype]) -> str:
        """The name, in the step's source, of `fn` with its settings fixed, for these inputs."""
        single = any(k == np.float32 for k in kinds) and not any(k == np.float64 for k in kinds)
        module = fn.__module__.rsplit(".", 1)[-1]
        simple = module in (*_SINGLE, "forms", "lowering")
        key = (fn, tuple(map(repr, metas)), single)
        if key in self._done:
            return self._done[key]
        tree = _tree(fn)
        name = self._fresh(tree.name if tree.name != "_" else _grad_name(fn))
        self._done[key] = name
        names = [a.arg for a in tree.args.args]
        fixed = dict(zip(names[len(names) - len(metas) :], metas)) if metas else {}
        tree.name = name
        tree.decorator_list, tree.returns = [], None
        tree.args.defaults = []
        tree.args.args = [ast.arg(a) for a in names if a not in fixed]
        body = tree.body
        if ast.get_docstring(tree) is not None and len(body) > 1:
            body = body[1:]
        tree.body = body
        local = {a for a in names if a not in fixed} | {
            n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        visitor = _Rewrite(self, fn, fixed, local, single and simple)
        tree = visitor.visit(tree)
        if single and not simple:
            tree = _doubled(tree)
        self.functions[name] = ast.unparse(ast.fix_missing_locations(tree))
        return name

    def _fresh(self, name: str) -> str:
        name = "f_" + name.strip("_")  # never the name of something that np or math has
        if name not in self.functions and name not in self._done.values():
            return name
        i = 2
        while f"{name}_{i}" in self._done.values():
            i += 1
        return f"{name}_{i}"


def _tree(fn: Callable[..., Any]) -> ast.FunctionDef:
    try:
        text = textwrap.dedent(inspect.getsource(fn))
        tree = ast.parse(text).body[0]
    except (OSError, SyntaxError) as error:
        raise Unsupported(f"the source of {fn.__qualname__} is not to be had") from error
    if isinstance(tree, ast.FunctionDef):
        return tree
    raise Unsupported(f"{fn.__qualname__} is no plain function")


def _grad_name(fn: Callable[..., Any]) -> str:
    first = inspect.getsource(fn).strip().splitlines()[0]
    return first.lstrip("@").split("(")[0].replace(".", "_").replace("[", "_").split('"')[0]


def _doubled(tree: ast.FunctionDef) -> ast.FunctionDef:
    """Arguments to float64 first, the result to float32."""
    for a in tree.args.args:
        tree.body.insert(0, ast.parse(f"{a.arg} = np.float64({a.arg})").body[0])

    class Round(ast.NodeTransformer):
        def visit_Return(self, node: ast.Return) -> Any:
            call = ast.parse("np.float32(x)", mode="eval").body
            call.args = [node.value]  # type: ignore[attr-defined]
            return ast.Return(call)

    return Round().visit(tree)


class _Rewrite(ast.NodeTransformer):
    def __init__(
        self, to: Translator, fn: Any, fixed: dict[str, Any], local: set[str], single: bool
    ) -> None:
        self.to, self.fn, self.fixed, self.local, self.single = to, fn, fixed, local, single

    def _value(self, value: Any) -> ast.expr:
        if isinstance(value, (bool, np.bool_)) or value is None or isinstance(value, str):
            return ast.Constant(bool(value) if isinstance(value, np.bool_) else value)
        if isinstance(value, (int, float, np.number)):
            if self.single:
                return ast.Name(self.to.constant(float(value)), ast.Load())
            return ast.Constant(value.item() if isinstance(value, np.generic) else value)
        raise Unsupported(f"a setting of type {type(value).__name__} in {self.fn.__qualname__}")

    def visit_Constant(self, node: ast.Constant) -> Any:
        return self._value(node.value)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return self._value(-node.operand.value)  # type: ignore[operator]
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        if self.single and isinstance(node.op, ast.Pow):
            base, power = self.visit(node.left), node.right
            if isinstance(power, ast.Constant) and power.value == 2:
                return ast.BinOp(base, ast.Mult(), base)
            self.to.imports.add("pow32")
            return ast.Call(ast.Name("pow32", ast.Load()), [base, self.visit(power)], [])
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        if self.single and name in FLOAT32 and isinstance(node.func, ast.Attribute):
            value = node.func.value
            if isinstance(value, ast.Name) and value.id in ("np", "math"):
                return ast.Call(self._single(name), [self.visit(a) for a in node.args], [])
        return ast.Call(self._called(node.func), [self.visit(a) for a in node.args], node.keywords)

    def _single(self, name: str) -> ast.expr:
        self.to.imports.add(FLOAT32[name].__name__)
        return ast.Name(FLOAT32[name].__name__, ast.Load())

    def _called(self, func: ast.expr) -> ast.expr:
        if isinstance(func, ast.Name) and func.id not in self.local:
            target = self.fn.__globals__.get(func.id)
            if isinstance(target, types.FunctionType):
                if self.single and target in _KNOWN:
                    return self._single(_KNOWN[target])
                if target.__module__ == "descent.ops.vectormath":
                    self.to.imports.add(target.__name__)
                    return func
                kinds = [np.dtype(np.float32 if self.single else np.float64)]
                return ast.Name(self.to.function(target, [], kinds), ast.Load())
        return func

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in self.fixed:
            return self._value(self.fixed[node.id])
        if isinstance(node.ctx, ast.Load) and node.id not in self.local:
            value = self.fn.__globals__.get(node.id)
            if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
                return self._value(value)
            if isinstance(value, tuple) and all(isinstance(v, (int, float)) for v in value):
                return ast.Name(self._numbers(node.id, value), ast.Load())
            if value is not None and value not in (np, math):
                raise Unsupported(f"{self.fn.__qualname__} uses {node.id}")
        return node

    def _numbers(self, name: str, value: tuple[float, ...]) -> str:
        """The name of a constant row of numbers, such as a polynomial's coefficients."""
        single = "np.float32({!r})" if self.single else "{!r}"
        text = "(" + "".join(f"{single.format(v)}, " for v in value) + ")"
        while self.to.constants.setdefault(name, text) != text:
            name += "_"
        return name

    def visit_If(self, node: ast.If) -> Any:
        test = self.visit(node.test)
        known = _known(test)
        if known is None:
            node.test = test
            node.body = _flat(self.visit(s) for s in node.body)
            node.orelse = _flat(self.visit(s) for s in node.orelse)
            return node
        return _flat(self.visit(s) for s in (node.body if known else node.orelse)) or ast.Pass()

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        test = self.visit(node.test)
        known = _known(test)
        if known is None:
            return ast.IfExp(test, self.visit(node.body), self.visit(node.orelse))
        return self.visit(node.body if known else node.orelse)


def _flat(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in items:
        found.extend(item if isinstance(item, list) else [item])
    return found


def _known(test: ast.expr) -> bool | None:
    """The value of a condition on constants alone, or None."""
    for n in ast.walk(test):
        if isinstance(n, (ast.Name, ast.Call, ast.Attribute)):
            return None
    return bool(eval(compile(ast.Expression(ast.fix_missing_locations(test)), "", "eval"), {}))
