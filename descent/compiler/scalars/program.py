"""One recording, compiled: runs the loops and builds the answer the function would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from descent.caching import source_module
from descent.compiler.scalars.reading import Argument
from descent.compiler.scalars.recording import Recording, Slot
from descent.compiler.scalars.rolling import roll
from descent.compiler.scalars.tape import Refusal
from descent.compiler.scalars.writing import write
from descent.kernel import Kernel, compiling
from descent.scalar import Value

__all__ = ["Program"]

LONGEST = 600  # lines; a line takes 10 to 20 ms to compile


class Program:
    """For arguments of given shapes; `source` is the text of the loops."""

    def __init__(
        self, recording: Recording, arguments: Sequence[Argument | None], parameters: int
    ) -> None:
        groups = roll(recording.tape, recording.rows, recording.outputs)
        self.source = write(groups, arguments, recording.rows, parameters)
        lines = self.source.count("\n")
        if lines > LONGEST:
            raise Refusal(
                f"written out, it is {lines} lines of loops (at most {LONGEST} are compiled): its "
                "graph is too large for its regularity. Rows of the batch computed alike, or "
                "neurons computed alike, become loops"
            )
        self.kernel = Kernel(source_module("scalars", "replay", self.source).replay, reorder=True)
        self.changes_data = any(g.home == "new_data" for g in groups)
        self.changes_grad = any(g.home == "new_grad" for g in groups)
        self.result = recording.result
        self.slots = recording.slots
        self.differentiable = recording.differentiable
        self.out = np.zeros(self.slots + (parameters if self.differentiable else 0))

    def run(self, numbers: list[Any], data: np.ndarray, grad: np.ndarray) -> None:
        """Fill `out`; change data and grad in place."""
        if compiling():
            self.kernel(*numbers, data, grad, self.out)
        else:
            with np.errstate(all="ignore"):
                self.kernel.py(*numbers, data, grad, self.out)

    def answer(self, parameters: Sequence[Value]) -> Any:
        """What the function returns; a Value knows its derivatives for all parameters."""
        numbers = self.out.tolist()
        slopes = numbers[self.slots :]

        def fill(x: Any) -> Any:
            if x.__class__ is Slot:
                if not x.is_value:
                    return numbers[x.index]
                if self.differentiable:
                    return Value(numbers[x.index], parameters, "replay", local=slopes)
                return _without_past(numbers[x.index])
            if isinstance(x, tuple) and hasattr(x, "_fields"):
                return type(x)(*map(fill, x))
            if isinstance(x, (list, tuple)):
                return type(x)(map(fill, x))
            if isinstance(x, dict):
                return {k: fill(v) for k, v in x.items()}
            if isinstance(x, np.ndarray) and x.dtype == object:
                return np.array([fill(v) for v in x.flat], dtype=object).reshape(x.shape)
            return x

        return fill(self.result)


_PAST = Value(0.0, label="the replayed function")


def _without_past(number: float) -> Value:
    """A Value that refuses `backward()`: its graph was not kept."""
    out = Value(number, (_PAST,), "replay")
    out._backward = _no_backward
    return out


def _no_backward() -> None:
    raise RuntimeError(
        "backward() from here is not recorded: call it inside the replayed function, or let that "
        "function return one Value and change no parameter"
    )
