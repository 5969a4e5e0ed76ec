"""Time several implementations of one piece of work in turn (A B A B …) and report medians.

A ratio taken side by side in one run is the only figure that means something: machines drift.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

__all__ = ["Result", "compare", "table"]


@dataclass(frozen=True)
class Result:
    """Median seconds per call of each implementation, and what it computed (a loss, to compare)."""

    work: str
    seconds: dict[str, float]
    losses: dict[str, float]

    def ratio(self, peer: str) -> float:
        """How many times faster than the peer we are."""
        return self.seconds[peer] / self.seconds["descent"]


def compare(work: str, sides: dict[str, Callable[[], float]], *, rounds: int = 9) -> Result:
    """Call each side once per round, after two rounds of warm-up; a side returns its loss."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    losses: dict[str, float] = {}
    for i in range(rounds + 2):
        for name, step in sides.items():
            began = time.perf_counter()
            losses[name] = step()
            if i >= 2:
                times[name].append(time.perf_counter() - began)
    return Result(work, {name: median(t) for name, t in times.items()}, losses)


def table(results: list[Result]) -> str:
    """Markdown: a row per work, our time, each peer's time and the ratio."""
    peers = sorted({p for r in results for p in r.seconds if p != "descent"})
    head = "| work | descent | " + " | ".join(f"{p} | × faster" for p in peers) + " | loss after |"
    rows = [head, "|---" * (3 + 2 * len(peers)) + "|"]
    for r in results:
        cells = [r.work, f"{1e3 * r.seconds['descent']:.2f} ms"]
        for p in peers:
            if p in r.seconds:
                cells += [f"{1e3 * r.seconds[p]:.2f} ms", f"{r.ratio(p):.2f}"]
            else:
                cells += ["missing", ""]
        cells.append(", ".join(f"{name} {loss:.5f}" for name, loss in r.losses.items()))
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
