"""`descent show OP`: an op's page, made from its declaration alone."""

from __future__ import annotations

import importlib
import inspect
import textwrap
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from descent import ops
from descent.op import Elementwise, Movement, Op
from descent.scalar import gradcheck
from descent.view.errors import QuestionError

__all__ = ["all_ops", "find_op", "op_names", "show_op"]


def all_ops() -> dict[str, Any]:
    """Every declared op by name."""
    found: dict[str, Any] = {}
    for family in ops.FAMILIES:
        module = importlib.import_module(f"descent.ops.{family}")
        for value in vars(module).values():
            if isinstance(value, (Op, Elementwise, Movement)):
                found.setdefault(value.name, value)
    return dict(sorted(found.items()))


def op_names() -> list[str]:
    """The names of all ops."""
    return list(all_ops())


def find_op(name: str) -> Any:
    """The op of this name.

    Raises:
        QuestionError: an unknown op; the message lists the nearest names.
    """
    import difflib

    found = all_ops()
    if name not in found:
        near = difflib.get_close_matches(name, found, 5) or list(found)[:8]
        raise QuestionError(f"there is no op {name!r}; did you mean {', '.join(near)}?")
    return found[name]


def show_op(name: str) -> str:
    """The page of an op as text: formula, axes, source, example, gradient check, timing.

    Raises:
        QuestionError: an unknown op; the message lists the nearest names.
    """
    op = find_op(name)
    parts = [f"{op.name}  {_signature(op)}", textwrap.indent(op.doc, "  "), _module_doc(op)]
    parts.append("Source\n" + textwrap.indent(op.source(), "  "))
    if isinstance(op, Op):
        for g in op.grads:
            parts.append("Gradient\n" + textwrap.indent(g.loops.source(), "  "))
    example = _example(op)
    if example is not None:
        parts.append(example)
    return "\n\n".join(p for p in parts if p)


def _signature(op: Any) -> str:
    if isinstance(op, Op):
        return f"axes: {op.axes.text}"
    kind = "elementwise" if isinstance(op, Elementwise) else "movement"
    return f"{kind}: ({', '.join(op.inputs + op.metas)})"


def _function(op: Any) -> Any:
    if isinstance(op, Op):
        return op.ladder.loops.py
    return op.scalar if isinstance(op, Elementwise) else op.fn


def _module_doc(op: Any) -> str:
    module = inspect.getmodule(_function(op))
    return textwrap.indent(inspect.getdoc(module) or "", "  ") if module else ""


def _example(op: Any) -> str | None:
    """An example with numbers, for ops whose inputs can be made from their declaration."""
    rng = np.random.default_rng(0)
    if isinstance(op, Elementwise):
        values = [round(float(v), 2) for v in rng.uniform(0.2, 0.9, len(op.inputs))]
        call = f"{op.name}({', '.join(map(str, values))})"
        if op.out_dtype is not None or op.opaque or not op.derivatives:
            return f"Example\n  {call} = {op.scalar(*values)}"
        check = gradcheck(lambda *v: op.scalar(*v), *values)
        return (
            f"Example\n  {call} = {float(op.scalar(*values)):.6f}\nGradient check\n"
            + textwrap.indent(str(check), "  ")
            + "\n"
            + _form_times(op, rng)
        )
    if isinstance(op, Op):
        return _ladder_times(op, rng)
    return None


def _form_times(op: Elementwise, rng: np.random.Generator) -> str:
    """Whole-array form and compiled scalar function on a hundred thousand numbers."""
    arrays = [rng.uniform(0.2, 0.9, 100_000).astype(np.float32) for _ in op.inputs]
    forms = {
        "numpy": lambda: op.forward(arrays, {})[0][0],
        "compiled": lambda: op.run_compiled(arrays, {}),
    }
    lines = ["Time on 100,000 float32 numbers"]
    lines += [f"  {name:8} {1e6 * _fastest(run):10.1f} µs" for name, run in forms.items()]
    return "\n".join(lines)


def _fastest(run: Callable[[], Any]) -> float:
    """The least of five timings, after one call to warm up."""
    run()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def _ladder_times(op: Op, rng: np.random.Generator) -> str | None:
    """Each rung of the forward ladder on one small example: agreement with rung 1, and time."""
    letters = {k for o in op.axes.inputs for k in o.letters}
    sizes = dict.fromkeys(letters, 24)
    if op.metas:
        return None  # metas have no default to choose
    arrays = [
        rng.standard_normal([sizes[k] for k in o.letters]).astype(np.float32)
        for o in op.axes.inputs
    ]
    try:
        truth = op.ladder.run_rung(
            "python", [a.astype(np.float64) for a in arrays], [],
            lambda: op.allocate(arrays, np.float64),
        )[0]  # fmt: skip
    except (IndexError, TypeError, ValueError):
        return None  # an input is an index array: no example can be made blindly
    lines = [f"Ladder on axes of {24}"]
    for rung in ["python", "loops", *(r.name for r in op.ladder.rungs)]:
        run = lambda rung=rung: op.ladder.run_rung(  # noqa: E731
            rung, arrays, [], lambda: op.allocate(arrays)
        )
        error = float(np.abs(run()[0] - truth).max())
        lines.append(f"  {rung:8} {1e6 * _fastest(run):10.1f} µs   max difference {error:.1e}")
    return "\n".join(lines)
