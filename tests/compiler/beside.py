"""Two worlds from the same state: one runs a step as written, the other its compiled form."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

import descent as dc
from descent.autograd import TensorBase
from descent.random import engine

__all__ = ["beside", "world"]


def flat(value: Any) -> list[Any]:
    """Tensors and plain values of a result, in order."""
    if isinstance(value, (tuple, list)):
        return [v for part in value for v in flat(part)]
    if isinstance(value, dict):
        return [v for k in value for v in flat(value[k])]
    return [value]


def picture(thing: Any) -> list[Any]:
    """Copies of all numbers in a tensor, module, optimiser or nested list of them."""
    found = []
    if hasattr(thing, "param_groups"):
        for state in thing.state_dict()["state"].values():
            found += [picture(state[k])[0] for k in sorted(state) if state[k] is not None]
    elif hasattr(thing, "state_dict"):
        for p in [*thing.parameters(), *thing.buffers()]:
            found += picture(p)
    elif isinstance(thing, TensorBase):
        found.append(np.array(thing.array))
        found.append(None if thing.grad is None else np.array(thing.grad.array))
    elif isinstance(thing, (list, tuple)):
        found += [p for t in thing for p in picture(t)]
    elif isinstance(thing, dict):
        found += [p for t in thing.values() for p in picture(t)]
    else:
        found.append(thing)
    return found


def world(build: Callable[[Any], Any], compiled: bool, calls: int) -> tuple[list[Any], Any]:
    """Everything there is to see after each call, and the compiled step."""
    steps = []

    def step(fn: Any) -> Any:
        steps.append(dc.compile(fn, keep_grads=True) if compiled else fn)
        return steps[-1]

    dc.manual_seed(11)
    call, state = build(step)
    seen = []
    for i in range(calls):
        try:
            out = flat(call(i))
        except Exception as error:  # both worlds must raise alike
            out = [type(error).__name__]
        numbers = [picture(o) if isinstance(o, TensorBase) else [o] for o in out]
        seen.append([[n[0] for n in numbers], picture(state), engine.default_generator.get_state()])
    return seen, steps


def same(a: Any, b: Any, rtol: float, atol: float, where: str) -> None:
    if isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, rtol, atol, f"{where}[{i}]")
    elif isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray), (where, b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        if a.dtype.kind == "f":
            finite = np.abs(a[np.isfinite(a)])  # sums of large numbers that nearly cancel
            near = atol * max(1.0, float(finite.max(initial=0.0)))
            np.testing.assert_allclose(b, a, rtol=rtol, atol=near, err_msg=where)
        else:
            np.testing.assert_array_equal(b, a, err_msg=where)
    elif isinstance(a, float):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=atol, err_msg=where)
    else:
        assert type(a) is type(b), (where, a, b)
        assert a == b, (where, a, b)


def beside(
    build: Callable[[Any], Any],
    calls: int = 3,
    refused: bool | None = False,
    *,
    rtol: float = 2e-5,
    atol: float = 2e-6,
) -> Any:
    """Run `build(step)` → (call, state) in both worlds; after every call outputs, state and the
    generator must be the same. `refused`: whether the step must run uncompiled (None: may).

    Returns:
        The last compiled step.
    """  # fmt: skip
    level = logging.getLogger("descent.compile").level
    logging.getLogger("descent.compile").setLevel(logging.CRITICAL)
    try:
        eager, _ = world(build, False, calls)
        compiled, steps = world(build, True, calls)
    finally:
        logging.getLogger("descent.compile").setLevel(level)
    for i, (a, b) in enumerate(zip(eager, compiled)):
        same(a, b, rtol, atol, f"call {i}: [outputs, state, generator]")
    for step in steps:
        if refused is False:
            assert step.refused is None, step.refused
        elif refused:
            assert step.refused, "it should have run uncompiled"
    return steps[-1] if steps else None
