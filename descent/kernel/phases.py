"""A forward pass as a list of works that threads share: written down once, run for every step.

    phases.add(work, units)        begins a phase; threads wait for each other between phases
    phases.then(work, units)       goes on in the same phase: slab s does its part of both in turn

Units are `each · size + fixed`, size one of the step's (rows, say): before a step only the numbers
of units are filled in. The works are kernels of (lo, hi, frame, me); see `descent.kernel.crew`,
which runs them. `DESCENT_COMPILE=0` runs them as written, on one thread.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from descent.kernel import Kernel, compiling, crew, kernel
from descent.kernel.places import table_of
from descent.threads import n_threads

__all__ = ["Phases", "Units"]

Array = np.ndarray
open_phases = crew.open_phases


class Units(NamedTuple):
    """How many units a work has: each · sizes[size] + fixed. A slab's share of `common` units, a
    divisor, is that of the phase's other works with the same `common` (0: of all units)."""

    fixed: int = 0
    each: int = 0
    size: int = 0
    common: int = 0


class Phases:
    """Works in phases over arrays that stay where they are. `sizes` is slot 0 of every frame."""

    def __init__(self, sizes: int, threads: int | None = None, slabs: int = 4) -> None:
        self.sizes = np.zeros(sizes, np.int64)
        self.threads = n_threads() if threads is None else threads
        self.slabs = slabs  # per thread, where a phase has so many units
        self._works: list[tuple[Kernel, Units, list[Array]]] = []
        self._starts: list[int] = []
        self._slabs: list[int] = []
        self._epoch = 0

    def add(self, work: Kernel, units: Units, arrays: Sequence[Array]) -> int:
        """Begin a phase with this work; returns the work's number."""
        self.pause()
        return self.then(work, units, arrays)

    def pause(self) -> None:
        """Begin a phase with the next work, whichever way that is written down."""
        self._starts.append(len(self._works))
        self._slabs.append(self.slabs * self.threads)

    def then(self, work: Kernel, units: Units, arrays: Sequence[Array]) -> int:
        """A further work of the phase just begun."""
        self._works.append((work, units, [self.sizes, *(a.reshape(-1) for a in arrays)]))
        return len(self._works) - 1

    def replace(self, work: int, slot: int, array: Array) -> None:
        """Let a work find another array in a slot of its frame (from 1: 0 is the sizes)."""
        array = self._works[work][2][slot] = array.reshape(-1)
        if compiling():
            at = 2 * (int(self._program[work, 3]) + slot)
            table: Array = self._table
            table[at], table[at + 1] = array.__array_interface__["data"][0], array.size

    def close(self) -> None:
        """Compile (or load) the works and lay out what running them needs."""
        kernels = list({id(k): k for k, _, _ in self._works}.values())
        number = {id(k): i for i, k in enumerate(kernels)}
        if compiling():
            self._functions: Any = np.array([_address(k) for k in kernels], np.int64)
        else:
            self._functions = [k.py for k in kernels]
        self._starts = [s for s in self._starts if s < len(self._works)]  # none without works
        count, ends = len(self._starts), [*self._starts[1:], len(self._works)]
        self._program = np.zeros((len(self._works), 4), np.int64)
        self._program[:, 0] = [number[id(k)] for k, _, _ in self._works]
        self._program[:, 2] = [u.common for _, u, _ in self._works]
        self._units = np.array([u for _, u, _ in self._works], np.int64)
        self._phases = np.zeros((count, 3), np.int64)
        self._phases[:, 0], self._phases[:, 1] = self._starts, ends
        self._most = np.array(self._slabs, np.int64)
        self._sync = np.zeros(2 * count + 1 + self.threads, np.int64)
        frames = [arrays for _, _, arrays in self._works]
        starts = np.cumsum([0, *(len(f) for f in frames)])[:-1]
        self._program[:, 3] = starts
        if compiling():
            self._table: Any = table_of([a for f in frames for a in f])
        else:
            self._table = dict(zip(starts.tolist(), frames))

    def run(self, alone: bool = False) -> None:
        """All phases with the units that `sizes` give; `alone`: on this thread only."""
        program, phases, sync = self._program, self._phases, self._sync
        alone = alone or self.threads < 2 or not compiling()
        self._epoch += 1
        begin(self.sizes, self._units, self._most, program, phases, sync, self._epoch, not alone)
        if alone:
            run = crew.run_alone.compiled if compiling() else crew.run_alone.py
            run(program, self._functions, self._table)
            return
        step = (self._epoch, program, phases, self._functions, self._table, sync)
        awake, helpers = 2 * len(phases), _helpers(self.threads - 1, os.getpid())
        for me in range(1, self.threads):
            if not sync[awake + me]:
                helpers.start(me, crew.help_out, (me, *step))
        crew.run(0, *step)


@kernel
def begin(sizes, units, most, program, phases, sync, epoch, shared):
    """Fill in how many units each work has and in how many slabs each phase is done; `shared`:
    from now on other threads may take some."""
    for w in range(program.shape[0]):
        program[w, 1] = units[w, 1] * sizes[units[w, 2]] + units[w, 0]
    for p in range(phases.shape[0]):
        first = phases[p, 0]
        shares = program[first, 2] if program[first, 2] > 0 else program[first, 1]
        phases[p, 2] = min(most[p], shares)
    if shared:
        open_phases(sync, phases, epoch)


@functools.cache
def _address(work: Kernel) -> int:
    return work.address(*["int64"] * 4)


@functools.cache
def _helpers(count: int, pid: int) -> crew.Helpers:
    """The threads beside the caller's, of this process."""
    return crew.Helpers(count)
