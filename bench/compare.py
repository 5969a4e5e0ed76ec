"""Time several implementations of one piece of work in turn (A B A B …) and report medians.

A ratio taken side by side in one run is the only figure that means something: machines drift.
`compare` times callables in this process; `race` times sides in processes of their own, so that
neither side's thread pool or memory gets in the other's way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from bench.sides.child import versions
from bench.turns import machine_lock

__all__ = ["Bar", "Result", "compare"]


@dataclass(frozen=True)
class Bar:
    """What must be reached: `ours` at least `factor` times better than the best of `peers`.

    `of` is what is compared: "seconds", or "memory" (bytes at the peak).
    """

    factor: float
    peers: tuple[str, ...]
    ours: str = "descent"
    of: str = "seconds"


@dataclass(frozen=True)
class Result:
    """Median seconds per step of each side, and what it computed (a loss, to compare)."""

    work: str
    seconds: dict[str, float]
    losses: dict[str, float]
    bars: tuple[Bar, ...] = ()
    memory: dict[str, float] = field(default_factory=dict)  # bytes at the peak
    first_s: dict[str, float] = field(default_factory=dict)  # making it and its first call
    absent: dict[str, str] = field(default_factory=dict)  # side → why it was not measured
    disturbed: dict[str, float] = field(default_factory=dict)  # share of rounds others computed in
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    agree_to: float = 1e-4  # losses may differ by this much, relatively

    def ratio(self, peer: str, ours: str = "descent") -> float:
        """How many times faster than the peer we are."""
        return self.seconds[peer] / self.seconds[ours]

    def reached(self, bar: Bar) -> tuple[float, str] | None:
        """How many times better than its best peer, and which that is; None: not measured."""
        values = getattr(self, bar.of)
        peers = {p: values[p] for p in bar.peers if p in values}
        if bar.ours not in values or not peers:
            return None
        best = min(peers, key=peers.__getitem__)
        return peers[best] / values[bar.ours], best

    def disagreeing(self) -> list[str]:
        """Sides whose loss is not most sides' loss; all of them if there is no such majority."""

        def together(loss: float) -> list[str]:
            limit = self.agree_to * max(abs(loss), 1e-2)
            return [name for name, other in self.losses.items() if abs(other - loss) <= limit]

        most = max(map(together, self.losses.values()), key=len, default=[])
        if 2 * len(most) <= len(self.losses):
            return list(self.losses)
        return [name for name in self.losses if name not in most]


def compare(
    work: str,
    sides: dict[str, Callable[[], float]],
    *,
    rounds: int = 9,
    steps: int = 1,
    bars: Iterable[Bar] = (),
    rest_s: float = 0.01,
) -> Result:
    """Call each side once per round, after two rounds of warm-up; a side returns its loss.

    `steps` is how many steps one call does: the result is per step. `rest_s` is a pause before
    each call: threads of the side before (OpenMP's) go on spinning for a while and take a core.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    losses: dict[str, float] = {}
    for i in range(rounds + 2):
        with machine_lock():
            for name, step in sides.items():
                time.sleep(rest_s)
                began = time.perf_counter()
                losses[name] = step()
                if i >= 2:
                    times[name].append((time.perf_counter() - began) / steps)
    seconds = {name: median(t) for name, t in times.items()}
    return Result(work, seconds, losses, tuple(bars), versions=versions())
