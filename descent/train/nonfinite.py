"""A loss that is NaN or infinite: which op made the first such number?

The batch is run again with an observer on every op; the first output that is not finite while its
inputs are names the culprit. When the forward pass is clean, the backward pass is watched the same
way. Left out: numbers that overflow only at another random dropout mask.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from descent import autograd, from_numpy
from descent.nn.recording import module_stack, record_modules

__all__ = ["NonFiniteError", "explain_nonfinite", "first_nonfinite"]


class NonFiniteError(ArithmeticError):
    """Training met NaN or infinity."""


def _bad(a: np.ndarray) -> str | None:
    if a.dtype.kind != "f" or np.isfinite(a).all():
        return None
    return "NaN" if np.isnan(a).any() else "infinity"


def first_nonfinite(model: Any, x: np.ndarray, y: np.ndarray) -> str | None:
    """A sentence naming the first op with a NaN or infinite result, or None."""
    for name, p in model.named_parameters():
        if kind := _bad(p.array):
            return f"the parameter {name} holds {kind}"
    first: dict[str, str] = {}  # kind → where it first came from something without it
    found: list[str] = []

    def watch(op: Any, inputs: Any, outputs: Any, meta: Any) -> None:
        kind = _bad(outputs[0].array)
        # A mask of −∞ is meant: it comes in as an input that has it. NaN out of it is not.
        blamed = ("NaN",) if kind == "NaN" else ("NaN", "infinity")
        if kind and kind not in first and not any(_bad(t.array) in blamed for t in inputs):
            shapes = ", ".join(str(tuple(t.array.shape)) for t in inputs)
            first[kind] = (
                f"{kind} first came out of op {op.name} on shapes {shapes}{_module_path()}"
            )

    def watch_back(node: Any, dy: np.ndarray, grads: Any) -> None:
        if found or _bad(dy):
            return
        for g in grads:
            if g is not None and (kind := _bad(g)):
                found.append(f"{kind} first came out of the gradient of op {node.op.name}")
                return

    with record_modules(model), autograd.observe(watch):
        _, loss = model(from_numpy(x), from_numpy(y))
    if _bad(loss.array):
        return "; ".join(first[kind] for kind in ("infinity", "NaN") if kind in first) or None
    autograd.backward(loss, np.ones_like(loss.array), watch=watch_back)
    return found[0] if found else None


def _module_path() -> str:
    stack = module_stack()
    return f" in {stack[-1].path or 'the model'} ({stack[-1].cls})" if stack else ""


def explain_nonfinite(model: Any, x: np.ndarray, y: np.ndarray, step: int) -> NoReturn:
    """Raise a NonFiniteError that names the step and the first op at fault."""
    cause = first_nonfinite(model, x, y) or "a rerun of the batch stayed finite"
    raise NonFiniteError(
        f"training stopped at step {step}: the loss or a gradient is not finite; {cause}. "
        "The last checkpoint is intact; a lower learning rate or gradient clipping usually helps."
    )
