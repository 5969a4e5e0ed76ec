"""Read a scalar graph as a sum of terms, the largest first.

    y = t₁ + t₂ + …        each tᵢ shown as an expression of labelled numbers

A graph whose root is not a sum is one term. Where the graph is not a sum at all (softmax, a norm),
the labelled inputs themselves are listed with dy/dx, largest effect |x · dy/dx| first.
"""

from __future__ import annotations

from dataclasses import dataclass

from descent.scalar import Value, topological_order

__all__ = ["Term", "expression", "largest_terms", "leaves"]


@dataclass(frozen=True)
class Term:
    """One summand (or input): its expression, its value, and d(root)/d(leaf) of its leaves."""

    text: str
    value: float
    leaves: tuple[tuple[str, float, float], ...]  # (label, number, derivative of the root)


def _summands(root: Value) -> list[Value]:
    found, stack = [], [root]
    while stack:
        v = stack.pop()
        if v.op == "+" and not v.label:
            stack.extend(reversed(v.parents))
        else:
            found.append(v)
    return found


def leaves(root: Value) -> list[Value]:
    """The labelled inputs below a value, in order of appearance, each once."""
    return [v for v in topological_order(root) if v.label and not v.parents]


def expression(v: Value, depth: int = 4) -> str:
    """`x[0, 3]·w[7, 3]`: a value as a formula of labels and numbers."""
    if v.label and not v.parents:
        return v.label
    if not v.parents:
        return f"{v.data:.4g}"
    if depth == 0:
        return f"({v.data:.4g})"
    parts = [expression(p, depth - 1) for p in v.parents]
    if v.op in ("+", "-", "*", "/") and len(parts) == 2:
        sign = {"*": "·", "-": " − ", "+": " + ", "/": " / "}[v.op]
        text = sign.join(parts)
        return f"({text})" if v.op in "+-" else text
    return f"{v.op}({', '.join(parts)})"


def _term(v: Value) -> Term:
    inner = leaves(v) or ([v] if v.label else [])
    return Term(expression(v), v.data, tuple((x.label, x.data, x.grad) for x in inner[:6]))


def largest_terms(root: Value, top: int) -> tuple[list[Term], int]:
    """The `top` largest terms of `root` (after `root.backward()`) and how many there are."""
    summands = [v for v in _summands(root) if v.parents or v.label or v.data]
    if len(summands) > 1:
        summands.sort(key=lambda v: -abs(v.data))
        return [_term(v) for v in summands[:top]], len(summands)
    inputs = leaves(root) or [root]
    inputs.sort(key=lambda v: -abs(v.data * v.grad))
    terms = [Term(v.label or "y", v.data, ((v.label, v.data, v.grad),)) for v in inputs[:top]]
    return terms, len(inputs)
