"""Race sides in processes of their own: made one after the other, then timed in turn (A B A B …).

Every side starts from the same arrays, does the same steps, and is checked by its loss after
`check` steps. Before a side is timed, the one before it must have gone quiet.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from bench.compare import Bar, Result
from bench.sides.process import Side, SideProcess
from bench.turns import machine_lock, one_busy_core

__all__ = ["Work", "race"]

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Work:
    """One piece of work: how its data is made, who does it, and what must be reached."""

    name: str
    data: Callable[[], Arrays]
    sides: tuple[Side, ...]
    steps: int  # timed in one round
    check: int  # after so many steps the losses are compared
    bars: tuple[Bar, ...] = ()
    rounds: int = 9
    slow: dict[str, int] = field(default_factory=dict)  # side → its own steps per round
    agree_to: float = 1e-4
    memory: bool = False  # also compare the peaks
    busy: bool = False  # while another process keeps one core busy


def race(
    work: Work,
    *,
    rounds: int | None = None,
    steps: int | None = None,
    environment: dict[str, str] | None = None,
) -> Result:
    """Measure a work.

    Args:
        rounds: how often each side is timed (the work's own number if None).
        steps: how many steps at a time (the work's own number if None).
        environment: settings for every side (caches, say).
    """
    with tempfile.TemporaryDirectory(prefix="descent-bench-") as folder:
        data = Path(folder) / "data.npz"
        np.savez(data, **work.data())  # type: ignore[arg-type]
        sides = [_started(side, data, work, environment or {}) for side in work.sides]
        try:
            losses = {s.name: loss for s, loss in sides}
            running = [s for s, _ in sides if s.problem is None]
            times: dict[str, list[float]] = {s.name: [] for s in running}
            patience = _Patience()
            for _ in range(rounds or work.rounds):
                for side in running:
                    n = work.slow.get(side.name, steps or work.steps)
                    with machine_lock(), one_busy_core() if work.busy else nullcontext():
                        seconds = _timed(side, n, None if work.busy else patience)
                    times[side.name].append(seconds / n)
            return _result(work, [s for s, _ in sides], losses, times)
        finally:
            for side, _ in sides:
                side.close()


def _started(
    side: Side, data: Path, work: Work, environment: dict[str, str]
) -> tuple[SideProcess, float]:
    """A side that has been made and has done the first `check` steps, and its loss after them."""
    with machine_lock(shared=True):
        process = SideProcess(side, data, environment)
        began = time.perf_counter()
        process.step(1)
        process.first_s = time.perf_counter() - began
        _, loss = process.step(work.check - 1)
        process.rest()
    return process, loss


@dataclass
class _Patience:
    """How long, in all, a work may be timed again because others computed meanwhile."""

    left_s: float = 20.0


def _timed(side: SideProcess, n: int, patience: _Patience | None) -> float:
    """Seconds for n steps; again while others take a tenth of a core and patience lasts.

    Without patience it is meant to be measured beside others.
    """
    found = []
    while not found or (patience and patience.left_s > 0):
        began = time.perf_counter()
        seconds, others = side.step_watched(n, warm=n // 10)
        side.rest()
        found.append((others, seconds))
        if patience is None or others < 0.1:
            return seconds
        patience.left_s -= time.perf_counter() - began
    side.disturbed += 1
    return min(found)[1]


def _result(
    work: Work,
    sides: list[SideProcess],
    losses: dict[str, float],
    times: dict[str, list[float]],
) -> Result:
    measured = [s for s in sides if s.problem is None]
    reports = {s.name: s.report() for s in measured}
    return Result(
        work.name,
        {s.name: median(times[s.name]) for s in measured},
        {s.name: losses[s.name] for s in measured},
        bars=work.bars,
        memory={n: r["memory"] for n, r in reports.items()} if work.memory else {},
        first_s={s.name: s.first_s for s in measured},
        absent={s.name: s.problem for s in sides if s.problem},
        disturbed={s.name: s.disturbed / len(times[s.name]) for s in measured if s.disturbed},
        notes=tuple(note for r in reports.values() for note in r.get("notes", ())),
        versions={name: v for r in reports.values() for name, v in r["versions"].items()},
        agree_to=work.agree_to,
    )
