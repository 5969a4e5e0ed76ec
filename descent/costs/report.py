"""The report: a list of entries (ops in the order they ran) and sums over them.

MFU = operations / (step time · peak)        share = floor / measured time
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from descent.costs.machine import Machine

__all__ = ["Compiled", "Entry", "Loop", "Report", "Row", "layer_of"]

PHASES = ("forward", "backward", "update")


@dataclass(frozen=True)
class Entry:
    """One op that ran. `begin_s` counts from the start of the step; `live_bytes` is afterwards."""

    phase: str
    op: str
    path: str
    shape: tuple[int, ...]
    operations: float
    bytes: int
    floor_s: float
    seconds: float
    begin_s: float
    live_bytes: int


@dataclass(frozen=True)
class Row:
    """Entries taken together."""

    name: str
    phase: str
    calls: int
    operations: float
    bytes: int
    floor_s: float
    seconds: float

    @property
    def share(self) -> float | None:
        """Floor over measured time; None for what has no floor (views)."""
        return self.floor_s / self.seconds if self.floor_s and self.seconds else None


@dataclass(frozen=True)
class Loop:
    """Calls of one loop of the compiled step, with the line of the model it comes from."""

    name: str
    line: str
    calls: int
    operations: float
    seconds: float  # alone, on one thread


@dataclass(frozen=True)
class Compiled:
    """`step_s` is the median of whole steps, `compiling_s` the first call (from
    the cache folder where it was compiled before)."""

    step_s: float
    compiling_s: float
    loops: tuple[Loop, ...]

    def share(self, loop: Loop) -> float:
        """The loop's part in the time of all loops."""
        return loop.seconds / max(sum(x.seconds for x in self.loops), 1e-12)


def layer_of(path: str) -> str:
    """`h.3.mlp.c_fc` → `h.*.mlp.c_fc`: the same place in every block."""
    return re.sub(r"(^|\.)\d+(?=\.|$)", r"\1*", path) or "(model)"


@dataclass(frozen=True)
class Report:
    """Everything measured of one step.

    Attributes:
        step_s: median of whole steps, nothing watching; the entries' times are medians of steps
            watched by a clock alone.
        start_bytes, peak_bytes: arrays alive before the step, and at most between ops.
        repeats: how many steps were timed each way.
        compiled: the same step compiled, where that was asked for.
    """

    name: str
    batch: str
    machine: Machine
    parameters: int
    tokens: int
    step_s: float
    entries: tuple[Entry, ...]
    start_bytes: int
    peak_bytes: int
    end_bytes: int
    repeats: int
    compiled: Compiled | None = None

    @property
    def operations(self) -> float:
        return sum(e.operations for e in self.entries)

    @property
    def bytes(self) -> int:
        return sum(e.bytes for e in self.entries)

    @property
    def floor_s(self) -> float:
        """The floors of all ops, one after the other."""
        return sum(e.floor_s for e in self.entries)

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.step_s

    @property
    def mfu(self) -> float:
        """The share of the measured peak that the step's operations amount to."""
        return self.operations / (self.step_s * 1e9 * self.machine.gflops)

    def phases(self) -> list[Row]:
        """Forward, backward, update."""
        return self.rows(lambda e: e.phase)

    def by_op(self) -> list[Row]:
        """One row per op and phase, the slowest first."""
        return _slowest(self.rows(lambda e: e.op))

    def by_layer(self) -> list[Row]:
        """One row per place in the model and phase (blocks taken together), the slowest first."""
        return _slowest(self.rows(lambda e: layer_of(e.path)))

    def rows(self, key: Callable[[Entry], str]) -> list[Row]:
        """Sums over the entries with one key and phase, in order of first appearance."""
        groups: dict[tuple[str, str], list[Entry]] = {}
        for e in self.entries:
            groups.setdefault((key(e), e.phase), []).append(e)
        return [_sum(name, phase, found) for (name, phase), found in groups.items()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        totals = {
            "operations": self.operations, "bytes": self.bytes, "floor_s": self.floor_s,
            "tokens_per_s": self.tokens_per_s, "mfu": self.mfu,
        }  # fmt: skip
        rows = {"by_op": self.by_op(), "by_layer": self.by_layer(), "phases": self.phases()}
        return {
            **asdict(self),
            **totals,
            **{k: [{**asdict(r), "share": r.share} for r in v] for k, v in rows.items()},
        }


def _sum(name: str, phase: str, found: list[Entry]) -> Row:
    return Row(
        name,
        phase,
        len(found),
        sum(e.operations for e in found),
        sum(e.bytes for e in found),
        sum(e.floor_s for e in found),
        sum(e.seconds for e in found),
    )


def _slowest(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda r: -r.seconds)
