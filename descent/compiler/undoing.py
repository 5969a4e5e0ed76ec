"""Refusals: what a step does, or looks at, that a compiled form could not repeat.

Before the capture: things whose state nobody can see (iterators), NumPy arrays as arguments. After
it: whatever the step changed beside its tensors. Everything is put back as it was by whoever
catches `Unsupported`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.compiler.shadow import Unsupported
from descent.compiler.surroundings import Surroundings

__all__ = ["refuse_side_effects", "refuse_what_changes"]


def refuse_what_changes(around: Surroundings) -> None:
    """What can differ at the next call without anybody noticing."""
    if around.iterators:
        raise Unsupported(
            f"it uses an iterator ({around.iterators[0] or 'in a container'}): each call would "
            "need its next item; take it outside the step and pass it as an argument"
        )
    if any(name == "argument" for name, _ in around.arrays):
        raise Unsupported("an argument is a NumPy array: pass it as a tensor")
    if any(not t.requires_grad for t in around.twice):
        raise Unsupported("a tensor is an argument and also seen by the function itself")


def refuse_side_effects(around: Surroundings, capture: Any) -> None:
    """What the step did beside computing on tensors."""
    reason = around.changed()
    if reason:
        raise Unsupported(f"it changes something outside at every call: {reason}")
    if around.drew():
        raise Unsupported("it draws from Python's or NumPy's random numbers: use Descent's")
    if capture.reseeded:
        raise Unsupported("it sets the seed or the state of the random generator")


def constants_written(capture: Any, around: Surroundings) -> list[tuple[np.ndarray, np.ndarray]]:
    """(memory, its numbers at capture) of tensors that are made anew at every call and changed."""
    written = {id(v.buffer) for n in capture.nodes for v in n.writes()}
    users = {id(a) for _, a in around.arrays}
    return [(b.array, b.array.copy()) for b in capture.buffers
            if b.kind == "constant" and id(b) in written
            and id(b.array.base) not in users]  # fmt: skip
