"""Is a derivative right? Compare the chain rule with a measurement.

    ∂f/∂xᵢ ≈ (f(…, xᵢ + h, …) - f(…, xᵢ - h, …)) / 2h      error O(h²) + rounding/h

Reference: Nocedal & Wright, Numerical Optimization (2006), section 8.1.
Left out: second derivatives; kinks (relu at 0), where a central difference means nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from descent.scalar.value import Value

__all__ = ["GradcheckError", "GradcheckResult", "gradcheck"]


class GradcheckError(AssertionError):
    """A derivative differs from its central difference; `result` holds the table."""

    def __init__(self, message: str, result: GradcheckResult) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class GradcheckResult:
    """One row per input: (name, value, by the chain rule, by central difference, |difference|)."""

    rows: tuple[tuple[str, float, float, float, float], ...]

    @property
    def max_error(self) -> float:
        return max((row[4] for row in self.rows), default=0.0)

    def __str__(self) -> str:
        width = max([5, *(len(row[0]) for row in self.rows)])
        lines = [f"{'input':{width}}  {'value':>14}  {'chain rule':>16}  {'measured':>16}  error"]
        lines += [
            f"{name:{width}}  {x:14.8g}  {chain:16.10g}  {measured:16.10g}  {error:.1e}"
            for name, x, chain, measured, error in self.rows
        ]
        return "\n".join(lines)

    __repr__ = __str__


def gradcheck(
    f: Callable[..., Value],
    *values: Value | float,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
) -> GradcheckResult:
    """Check d f(*values) / d each value; returns a printable table, leaves `values` untouched.

    eps is relative for inputs beyond 1: h = eps · max(1, |x|). Accepted: a difference within
    atol + rtol · |measured| plus what rounding in f allows.
    Raises GradcheckError naming the wrong inputs, TypeError if f does not return a Value.
    """
    names = _names(f, values)
    points = [float(v) for v in values]
    inputs = [Value(x, label=name) for x, name in zip(points, names)]
    root = f(*inputs)
    if not isinstance(root, Value):
        raise TypeError(f"f must return one Value, got {type(root).__name__}: {root!r}")
    root.backward()

    rows, wrong = [], []
    for i, (name, x, leaf) in enumerate(zip(names, points, inputs)):
        h = eps * max(1.0, abs(x))
        above, below = (_evaluate(f, points, i, x + s) for s in (h, -h))
        measured = (above - below) / (2 * h)
        error = abs(leaf.grad - measured)
        rows.append((name, x, float(leaf.grad), measured, error))
        rounding = 1e-15 * max(abs(above), abs(below)) / h
        if not error <= atol + rtol * abs(measured) + rounding:  # `not <=`: nan is wrong too
            wrong.append(name)
    result = GradcheckResult(tuple(rows))
    if wrong:
        raise GradcheckError(
            f"wrong derivative with respect to {', '.join(wrong)}\n{result}", result
        )
    return result


def _evaluate(f: Callable[..., Value], points: list[float], i: int, x: float) -> float:
    return float(f(*(Value(x if j == i else p) for j, p in enumerate(points))))


def _names(f: Callable[..., Any], values: tuple[Any, ...]) -> list[str]:
    """The inputs' labels, else f's own parameter names, else x0, x1, …"""
    try:
        parameters = [
            p.name
            for p in inspect.signature(f).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # builtins written in C may have no signature
        parameters = []
    parameters += [f"x{i}" for i in range(len(parameters), len(values))]
    return [getattr(v, "label", "") or name for v, name in zip(values, parameters)]
