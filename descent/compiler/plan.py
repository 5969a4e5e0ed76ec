"""In which phases the works run, and where temporaries lie.

A phase is a run of works that threads do slab by slab: slab s of n is units lo … hi of every work
in turn, on whichever thread takes it. Works share a phase when one thread doing its slab of each
in order is enough: what a later one reads of an earlier one is its own share. Between phases
threads wait for each other. In a Transformer a whole forward pass is one phase, divided by
sequences; gradients of weights, which read all rows, begin new ones.

Memory: a temporary lives from the first to the last phase that touches it; those that never live
together lie in the same place. First fit, largest first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from descent.compiler.graph import Buffer
from descent.compiler.work import Work
from descent.threads import n_threads

__all__ = ["Phase", "Plan", "plan"]

WORTH_THREADS = 1_500_000  # operations of a step below which one thread is faster
WORTH_SLAB = 60_000  # operations that a slab should have at least
ALIGNMENT = 64  # bytes


@dataclass
class Phase:
    """Works done slab by slab."""

    works: list[Work] = field(default_factory=list)
    units: int = 0  # common parts of the works that depend on each other; 0: none do
    slabs: int = 1

    @property
    def operations(self) -> int:
        return sum(w.operations for w in self.works)


@dataclass
class Plan:
    """Phases, and the byte offset of every temporary in the arena."""

    phases: list[Phase]
    offsets: dict[int, int]
    arena_bytes: int
    threads: int
    naive_bytes: int = 0


def plan(works: list[Work], temporaries: list[Buffer], results: list[Buffer]) -> Plan:
    """Phases and memory for works in order; results live to the end."""
    total = sum(w.operations for w in works)
    threads = n_threads() if total > WORTH_THREADS else 1
    works = _hoisted(works)
    phases = _phases(works, threads)
    for p in phases:
        p.slabs = _slabs(p, threads)
    offsets, size = _places(phases, temporaries, {id(b) for b in results})
    if threads == 1:  # nobody to wait for
        phases = [Phase([w for p in phases for w in p.works])]
    naive = sum(b.array.nbytes for b in temporaries)
    return Plan(phases, offsets, size, threads, naive)


def _hoisted(works: list[Work]) -> list[Work]:
    """Packing of weights first: it needs nothing that the step computes before."""
    first: list[Work] = []
    rest: list[Work] = []
    for w in works:
        if w.hoistable and not any(w.touches(r)[0] for r in rest):
            first.append(w)
        else:
            rest.append(w)
    return first + rest


def _phases(works: list[Work], threads: int) -> list[Phase]:
    phases: list[Phase] = []
    for w in works:
        if threads > 1 and phases and _fits(phases[-1], w, threads):
            phases[-1].works.append(w)
        else:
            phases.append(Phase([w]))
    return phases


def _fits(phase: Phase, work: Work, threads: int) -> bool:
    """Whether a work can follow the phase's without waiting for all of them; notes common units."""
    related = False
    for other in phase.works:
        matters, shares = work.touches(other)
        if matters and not shares:
            return False
        related = related or matters
    if not related:
        return True
    units = gcd(phase.units or phase.works[0].units, work.units)
    for other in phase.works:  # those it depends on are divided alike from now on
        if work.touches(other)[0]:
            units = gcd(units, other.units)
    if units < 2 * threads:
        return False
    phase.units = units
    return True


def _slabs(phase: Phase, threads: int) -> int:
    if threads == 1:
        return 1
    most = phase.units or max(w.units for w in phase.works)
    wanted = min(4 * threads, phase.operations // WORTH_SLAB)
    return max(1, min(most, wanted))


def _places(
    phases: list[Phase], temporaries: list[Buffer], results: set[int]
) -> tuple[dict[int, int], int]:
    life: dict[int, list[int]] = {}
    for i, p in enumerate(phases):
        for w in p.works:
            for a in w.accesses:
                span = life.setdefault(id(a.buffer), [i, i])
                span[1] = i
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    offsets: dict[int, int] = {}
    size = 0
    for b in sorted(temporaries, key=lambda b: -b.array.nbytes):
        if id(b) not in life:
            continue
        first, last = life[id(b)]
        last = len(phases) if id(b) in results else last
        n = -(-b.array.nbytes // ALIGNMENT) * ALIGNMENT
        at = 0
        for start, end, *_ in sorted(x for x in placed if x[2] <= last and first <= x[3]):
            if at + n <= start:
                break
            at = max(at, end)
        placed.append((at, at + n, first, last))
        offsets[id(b)] = at
        size = max(size, at + n)
    return offsets, size
