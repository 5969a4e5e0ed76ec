"""The coefficients of a step's updates: worked out when the step runs, once per group."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase

__all__ = ["Coefficients"]

Array = np.ndarray


class Coefficients:
    """The floats of all updates, worked out once per step and group.

    Parameters of one group that were stepped equally often have the same coefficients; their step
    counters are brought into one array, to be advanced together.
    """

    def __init__(self, updates: list[Any], numbers: Array) -> None:
        self.numbers = numbers
        groups: dict[Any, list[Any]] = {}
        times: dict[int, int] = {}  # an optimiser may step twice in a step
        for optimizer, group, _, node, state in updates:
            times[id(state)] = times.get(id(state), 0) + 1
            key = (id(group), times[id(state)])
            groups.setdefault(key, []).append((optimizer, group, node, state))
        self.groups = [self._group(members) for members in groups.values()]
        self.first = True
        self.fresh: list[dict[str, Any]] = []

    def _group(self, members: list[Any]) -> tuple[Any, Any, list[Any], Array, Any]:
        optimizer, group, node, _ = members[0]
        at, n = node.coefficients, len(node.rule.coefficients)
        rows = self.numbers[at : at + n * len(members)].reshape(len(members), n)
        return optimizer, group, [m[3] for m in members], rows, None

    def next_step(self) -> None:
        """Count a step and fill in its coefficients."""
        if self.first:
            self.fresh = [s for _, _, states, _, _ in self.groups for s in states if s.get("fresh")]
            for optimizer, group, states, rows, _ in self.groups:
                for row, state in zip(rows, states):
                    row[:] = optimizer.coefficients(state, group)
            self.groups = [(o, g, s, r, _one_counter(s)) for o, g, s, r, _ in self.groups]
            self.first = False
            return
        self.fresh = []
        for i, (optimizer, group, states, rows, counters) in enumerate(self.groups):
            if counters is None or not _together(counters, states):
                for row, state in zip(rows, states):
                    row[:] = optimizer.coefficients(state, group)
                if counters is not None:
                    self.groups[i] = (optimizer, group, states, rows, _one_counter(states))
                continue
            rows[:] = optimizer.coefficients(states[0], group)
            counters[1:] = counters[0]

    def undo(self) -> None:
        """Count one step less: it did not happen."""
        for _, _, states, _, _ in self.groups:
            for state in states:
                step = state.get("step")
                if isinstance(step, TensorBase):
                    step.array -= 1
                elif step is not None:
                    state["step"] = step - 1
        for state in self.fresh:
            state["fresh"] = True
        self.first = self.first or bool(self.fresh)
        self.fresh = []


def _together(counters: Array, states: list[Any]) -> bool:
    """Whether the states still count in these counters, and agree."""
    last = states[-1].get("step")
    if last is None:
        return True
    return last.array.base is counters and bool((counters == counters[0]).all())


def _one_counter(states: list[Any]) -> Array | None:
    """The step counters of these states as one array; None when they do not agree."""
    steps = [s.get("step") for s in states]
    if all(step is None for step in steps):
        return np.zeros(1, np.float32)
    if not all(isinstance(step, TensorBase) and step.array.shape == () for step in steps):
        return None
    if len({float(step.array) for step in steps}) > 1:
        return None
    base = steps[0].array.base  # another program of the same step may have done it
    if isinstance(base, np.ndarray) and base.shape == (len(steps),):
        if (
            all(s.array.base is base for s in steps)
            and steps[0].array.ctypes.data == base.ctypes.data
        ):
            return base
    counters = np.array([step.array for step in steps])
    for i, step in enumerate(steps):
        step.array = counters[i : i + 1].reshape(())
    return counters
