"""Profile a step: count it once with everything watched, then time it with a clock alone.

1. a step to warm up (compilation, the optimiser's moments);
2. a step that counts: operations, bytes, module, and the memory alive after every op;
3. a few steps with nothing but a clock at every op: the medians are the entries' times. What lies
   between two ops (Python, the adding-up of gradients) counts to the second of them;
4. in turn with these, steps with nothing watching at all: the median is the step's time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from descent import autograd, no_grad
from descent.costs.compiled import compiled_times
from descent.costs.errors import CostError
from descent.costs.machine import Machine, measure_machine
from descent.costs.memory import Ledger
from descent.costs.opcost import Cost, arrays_in, backward_cost, forward_cost
from descent.costs.report import Entry, Report
from descent.costs.work import Part, Work
from descent.nn.recording import current_path, record_modules

__all__ = ["profile"]


def profile(
    work: Work, *, seconds: float = 4.0, machine: Machine | None = None, compiled: bool = False
) -> Report:
    """Measure `work` for about so many seconds (at least three steps each way).

    Args:
        compiled: compile the step too, and time that.

    Raises:
        CostError: the model can't take the batch, or can't be compiled.
    """
    machine = machine or measure_machine()
    try:
        _step(work, _Watcher())
    except ValueError as error:  # a batch norm of one row, say
        raise CostError(f"{work.name} can't take {work.batch}: {error}") from None
    began = time.perf_counter()
    counted = _count(work, machine)
    once = time.perf_counter() - began
    repeats = int(max(3, min(100, seconds / 2 / max(once, 1e-6))))
    times, plain = [], []
    for _ in range(repeats):  # in turn, so that both see the same machine
        times.append(_clock(work))
        plain.append(_timed(work))
    return Report(
        name=work.name,
        batch=work.batch,
        machine=machine,
        parameters=sum(p.numel() for p in work.model.parameters()),
        tokens=work.tokens,
        step_s=median(plain),
        entries=_with_times(counted.entries, times),
        start_bytes=counted.start,
        peak_bytes=counted.ledger.peak,
        end_bytes=counted.ledger.live,
        repeats=repeats,
        compiled=compiled_times(work, seconds / 2) if compiled else None,
    )


class _Watcher:
    """What a step tells whoever watches it; this one does nothing."""

    def op(self, op: Any, inputs: Any, outputs: Any, meta: Any) -> None: ...
    def back(self, node: Any, dy: Any, grads: Any) -> None: ...
    def begin(self, phase: str) -> None: ...
    def part(self, part: Part) -> None: ...


def _step(work: Work, watcher: _Watcher) -> None:
    """One step, its parts told to the watcher."""
    training = bool(work.parts)
    for _ in range(work.accumulate):
        watcher.begin("forward")
        with autograd.observe(watcher.op):
            if training:
                loss = work.forward()
            else:
                with no_grad():
                    loss = work.forward()
        if training:
            loss = loss / work.accumulate if work.accumulate > 1 else loss
            watcher.begin("backward")
            autograd.backward(loss, np.ones_like(loss.array), watch=watcher.back)
        del loss
    watcher.begin("update")
    for part in work.parts:
        part.run()
        watcher.part(part)


def _timed(work: Work) -> float:
    """Seconds of a step nobody watches."""
    began = time.perf_counter()
    for _ in range(work.accumulate):
        if not work.parts:
            with no_grad():
                work.forward()
            continue
        loss = work.forward()
        (loss / work.accumulate if work.accumulate > 1 else loss).backward()
        del loss
    for part in work.parts:
        part.run()
    return time.perf_counter() - began


# -- counting --------------------------------------------------------------------------------


class _Counter(_Watcher):
    """Entries without times, and the memory."""

    def __init__(self, work: Work, machine: Machine) -> None:
        self.machine, self.entries, self.ledger = machine, list[Entry](), Ledger()
        self.places: dict[int, str] = {}  # id of a node → where its op ran
        self.phase = "forward"
        self.costs = [p.cost for p in work.parts]
        self.waiting: list[Cost] = []
        self.ledger.see(work.lasting())
        self.start = self.ledger.live

    def begin(self, phase: str) -> None:
        self.phase = phase
        if phase == "update":  # asked now: afterwards the gradients are gone
            self.waiting = [cost() for cost in self.costs]

    def op(self, op: Any, inputs: Any, outputs: Any, meta: Any) -> None:
        arrays = [t.array for t in outputs]
        node = outputs[0].node
        self.ledger.see(arrays)
        self.ledger.see(t.array for t in inputs)
        if node is not None:
            self.ledger.see(arrays_in(node.ctx))
            self.places[node.number] = current_path()
        cost = forward_cost(op, [t.array for t in inputs], arrays, meta)
        self._add(op.name, current_path(), arrays[0].shape, cost)

    def back(self, node: Any, dy: Any, grads: Any) -> None:
        self.ledger.see(g for g in (dy, *grads) if g is not None)
        cost = backward_cost(node, dy, grads)
        self._add(node.op.name, self.places.get(node.number, ""), dy.shape, cost)

    def part(self, part: Part) -> None:
        self._add(part.name, "(optimizer)", (), self.waiting.pop(0))

    def _add(self, op: str, path: str, shape: tuple[int, ...], cost: Cost) -> None:
        floor = self.machine.floor_s(cost.operations, cost.bytes)
        live = self.ledger.live
        self.entries.append(
            Entry(self.phase, op, path, shape, cost.operations, cost.bytes, floor, 0.0, 0.0, live)
        )


@dataclass
class _Counted:
    entries: list[Entry]
    ledger: Ledger
    start: int


def _count(work: Work, machine: Machine) -> _Counted:
    counter = _Counter(work, machine)
    with record_modules(work.model):
        _step(work, counter)
    return _Counted(counter.entries, counter.ledger, counter.start)


# -- timing ----------------------------------------------------------------------------------


class _Clock(_Watcher):
    """The time at which every entry ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.last = time.perf_counter()
        self.lengths: list[float] = []

    def _tick(self) -> None:
        now = time.perf_counter()
        self.lengths.append(now - self.last)
        self.last = now

    def op(self, op: Any, inputs: Any, outputs: Any, meta: Any) -> None:
        self._tick()

    def back(self, node: Any, dy: Any, grads: Any) -> None:
        self._tick()

    def part(self, part: Part) -> None:
        self._tick()


def _clock(work: Work) -> list[float]:
    clock = _Clock()
    _step(work, clock)
    return clock.lengths


def _with_times(entries: list[Entry], times: list[list[float]]) -> tuple[Entry, ...]:
    """The entries with the median of their times, one after the other."""
    usable = [t for t in times if len(t) == len(entries)]
    if not usable:
        raise CostError("the step did other ops every time: it can't be timed op by op")
    timed, begin = [], 0.0
    for e, seconds in zip(entries, np.median(np.array(usable), axis=0).tolist()):
        timed.append(replace(e, seconds=seconds, begin_s=begin))
        begin += seconds
    return tuple(timed)
