"""The same step compiled (`descent.compile`): its time as a whole, and what its loops take.

A loop's time is measured alone on one thread; in the step the threads share it, so that the loops'
sum is not the step's time. Their shares say where it goes.
"""

from __future__ import annotations

import time
from statistics import median

from descent.compiler.step import compile as compile_step
from descent.costs.errors import CostError
from descent.costs.report import Compiled, Loop
from descent.costs.work import Work

__all__ = ["compiled_times"]


def compiled_times(work: Work, seconds: float) -> Compiled:
    """Compile the step and time it for about so many seconds (at least three times).

    Raises:
        CostError: it can't be compiled; says why.
    """
    if work.step is None:
        raise CostError(f"{work.name}: only a training step is compiled here, not inference")
    step = compile_step(work.step)
    began = time.perf_counter()
    step(work.batches())
    compiling_s = time.perf_counter() - began
    if step.refused is not None:
        raise CostError(f"{work.name} can't be compiled: {step.refused}")
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < end and len(times) < 1000):
        batches = work.batches()
        began = time.perf_counter()
        step(batches)
        times.append(time.perf_counter() - began)
    return Compiled(median(times), compiling_s, _loops(step.report()))


def _loops(rows: list[dict]) -> tuple[Loop, ...]:
    """Rows of `step.report()` with one kernel and line taken together, the slowest first."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["name"], row.get("title", "")), []).append(row)
    loops = [
        Loop(
            name,
            line,
            len(found),
            float(sum(r.get("operations", 0) for r in found)),
            sum(r["seconds"] for r in found),
        )
        for (name, line), found in groups.items()
    ]
    return tuple(sorted(loops, key=lambda x: -x.seconds))
