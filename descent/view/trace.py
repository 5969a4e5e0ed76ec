"""A trace: every op that ran, with where it ran and on what.

While a `Trace(model)` is open in a thread, each op leaves a `Record`: the module it ran in (dotted
path), the line of Python that called it, its inputs with their origin (an earlier record, a
parameter, or given from outside), its outputs and its time. Nothing is copied: a record holds the
arrays that were computed. After `trace.backward(root)` each record also holds d(root)/d(output).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from descent import autograd
from descent.nn.recording import module_stack, record_modules

__all__ = ["Origin", "Record", "Trace", "input_names"]

_PACKAGE = Path(__file__).parents[1]
_MACHINERY = tuple(
    str(_PACKAGE / part)
    for part in ("autograd.py", "op/", "ops/", "tensor/", "nn/functional/", "nn/module.py",
                 "nn/recording.py", "nn/linear.py", "nn/embedding.py", "nn/normalization.py",
                 "nn/dropout.py", "nn/activations.py", "view/")
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where an input came from: `kind` is "op", "parameter" or "input"."""

    kind: str
    record: int | None = None
    name: str = ""

    def __str__(self) -> str:
        return f"op {self.record}" if self.kind == "op" else self.name or "given"


@dataclass
class Record:
    """One op that ran."""

    number: int
    op: Any
    meta: dict[str, Any]
    module: str
    module_class: str
    file: str
    line: int
    function: str
    arrays: list[np.ndarray]
    origins: list[Origin]
    outputs: list[np.ndarray]
    seconds: float
    node: Any = None
    gradient: np.ndarray | None = None
    tensors: Any = field(default=None, repr=False)  # keeps ids of inputs and outputs unique

    @property
    def place(self) -> str:
        """`models/gpt.py:123 in forward`."""
        path = Path(self.file)
        shown = path.relative_to(_PACKAGE) if path.is_relative_to(_PACKAGE) else path
        return f"{shown}:{self.line} in {self.function}"


def input_names(r: Record) -> list[str]:
    """The name of every input of a record, numbered where the op takes a list."""
    names = list(r.op.inputs)
    if len(names) == 1 and len(r.arrays) > 1:
        return [f"{names[0]}{i}" for i in range(len(r.arrays))]
    return names


class Trace:
    """Context manager that records the ops of this thread; `records` in the order they ran."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.records: list[Record] = []
        self._made: dict[int, int] = {}  # id of a tensor → number of the record that made it
        self._parameters = {id(p): name for name, p in model.named_parameters()}
        self._parameters.update((id(b), name) for name, b in model.named_buffers())
        self._modules = record_modules(model)
        self._observer = autograd.observe(self._record)
        self._last = 0.0

    def __enter__(self) -> Trace:
        self._modules.__enter__()
        self._observer.__enter__()
        self._last = time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self._observer.__exit__(*exc)
        self._modules.__exit__(*exc)

    def _record(self, op: Any, inputs: Any, outputs: Any, meta: dict[str, Any]) -> None:
        now = time.perf_counter()
        stack = module_stack()
        frame = _calling_frame()
        record = Record(
            number=len(self.records),
            op=op,
            meta=meta,
            module=stack[-1].path if stack else "",
            module_class=stack[-1].cls if stack else "",
            file=frame.f_code.co_filename,
            line=frame.f_lineno,
            function=frame.f_code.co_name,
            arrays=[t.array for t in inputs],
            origins=[self._origin(t) for t in inputs],
            outputs=[t.array for t in outputs],
            seconds=now - self._last,
            node=outputs[0].node,
            tensors=(inputs, outputs),
        )
        for t in outputs:
            self._made[id(t)] = record.number
        self.records.append(record)
        self._last = time.perf_counter()

    def _origin(self, t: Any) -> Origin:
        if id(t) in self._made:
            return Origin("op", self._made[id(t)])
        if id(t) in self._parameters:
            return Origin("parameter", name=self._parameters[id(t)])
        return Origin("input")

    def backward(self, root: Any) -> None:
        """Fill `gradient` of every record on the way from `root` (a scalar) down; once."""
        by_node = {id(r.node): r for r in self.records if r.node is not None}

        def keep(node: Any, dy: np.ndarray, grads: Any) -> None:
            record = by_node.get(id(node))
            if record is not None:
                record.gradient = dy

        autograd.backward(root, np.ones_like(root.array), watch=keep)
        for p in self.model.parameters():
            p.grad = None


def _calling_frame() -> Any:
    """The nearest frame that is not machinery: the line a reader would look for."""
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_MACHINERY):
        frame = frame.f_back
    return frame
