"""Threads that share a step without waiting for late ones.

Every thread runs all phases of the step. In a phase it takes slabs until none is left, then waits
until those taken by others are done. A thread that the system has put aside takes none, so nobody
waits for it; when it comes back and finds that a later step has begun, it leaves. What one thread
took last time it tends to take again (one takes from the front, one from the back), so its part of
the data is still in its cache.

State per phase, two int64 numbers: [2p] epoch·2³² + front·2¹⁶ + back, [2p + 1] slabs done. Behind
those of all P phases: [2P] the epoch, [2P + me] whether thread me is awake and looks out for the
next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from descent.kernel import atomics, kernel, places

__all__ = [
    "Helpers", "finish", "help_out", "open_phases", "run", "run_alone", "run_many", "take",
    "wait",
]  # fmt: skip

EPOCH, FRONT, MASK = 1 << 32, 1 << 16, (1 << 16) - 1
PATIENCE = 2000  # turns of waiting before the processor is offered to others
LOOKOUT = 10_000  # turns (some 0.3 ms) that a helper looks out for the next step before it sleeps


@kernel
def open_phases(sync, phases, epoch):
    """Make every phase's slabs takeable in this epoch. `phases` rows: first, last work, slabs."""
    for p in range(phases.shape[0]):
        atomics.store(sync, 2 * p + 1, 0)
        atomics.store(sync, 2 * p, epoch * EPOCH + phases[p, 2])
    atomics.store(sync, 2 * phases.shape[0], epoch)


@kernel
def take(sync, p, epoch, me):
    """The number of a slab of phase p for this thread; −1: none left; −2: the step is over."""
    while True:
        state = atomics.load(sync, 2 * p)
        if state >> 32 != epoch:
            return -2
        front, back = (state >> 16) & MASK, state & MASK
        if front >= back:
            return -1
        if me % 2 == 0:
            if atomics.swap_if(sync, 2 * p, state, state + FRONT):
                return front
        elif atomics.swap_if(sync, 2 * p, state, state - 1):
            return back - 1


@kernel
def finish(sync, p):
    """Say that a taken slab is done."""
    atomics.add(sync, 2 * p + 1, 1)


@kernel
def wait(sync, p, epoch, slabs):
    """Until all slabs of phase p are done; False when the step is over."""
    turns = 0
    while atomics.load(sync, 2 * p + 1) < slabs:
        if atomics.load(sync, 2 * p) >> 32 != epoch:
            return False
        turns += 1
        if turns < PATIENCE:
            atomics.pause()
        else:  # who holds the slab may be waiting for this very processor
            atomics.give_way()
    return atomics.load(sync, 2 * p) >> 32 == epoch


@kernel
def help_out(me, epoch, program, phases, functions, frames, sync):
    """Take part in this step, and in the next ones while they follow each other closely."""
    latest, awake = 2 * phases.shape[0], 2 * phases.shape[0] + me
    while True:
        run(me, epoch, program, phases, functions, frames, sync)
        atomics.store(sync, awake, 1)
        turns = 0
        while atomics.load(sync, latest) == epoch and turns < LOOKOUT:
            atomics.pause()
            turns += 1
        atomics.swap_if(sync, awake, 1, 0)
        if atomics.load(sync, latest) == epoch:
            return
        epoch = atomics.load(sync, latest)


@kernel
def run(me, epoch, program, phases, functions, frames, sync):
    """All phases of a step, as one of the threads that do so; False when a later step has begun.

    `program` rows: number of a function, units, common units (0: none), where its frame begins.
    Slab s of n is the s-th n-th of the units, cut at common units so that the shares of works that
    depend on each other are the same.
    """
    for p in range(phases.shape[0]):
        first, last, slabs = phases[p, 0], phases[p, 1], phases[p, 2]
        s = take(sync, p, epoch, me)
        while s >= 0:
            for w in range(first, last):
                units, common = program[w, 1], program[w, 2]
                if common > 0:
                    each = units // common
                    lo, hi = common * s // slabs * each, common * (s + 1) // slabs * each
                else:
                    lo, hi = units * s // slabs, units * (s + 1) // slabs
                if lo < hi:
                    places.invoke(functions, program[w, 0], lo, hi, frames, program[w, 3], me)
            finish(sync, p)
            s = take(sync, p, epoch, me)
        if s == -2 or not wait(sync, p, epoch, slabs):
            return False
    return True


@kernel
def run_alone(program, functions, frames):
    """All works of a step on one thread."""
    for w in range(program.shape[0]):
        places.invoke(functions, program[w, 0], 0, program[w, 1], frames, program[w, 3], 0)


@kernel
def run_many(n, program, functions, frames, moves, numbers, all_numbers, copies):
    """n steps on one thread; returns how many were done (a wrong index ends it).

    `moves` rows: where in the frames an argument's address stands, its address, bytes from one step
    to the next. `all_numbers` rows: the coefficients of each step. `copies`: pairs of slots, a
    result and its place for all steps; the last slot of all is the flags.
    """
    last = copies.size // 2 - 1
    flags = places.int64(copies.ctypes.data, last)
    for i in range(n):
        for m in range(moves.shape[0]):
            frames[moves[m, 0]] = moves[m, 1] + i * moves[m, 2]
        for j in range(all_numbers.shape[1]):
            numbers[j] = all_numbers[i, j]
        for w in range(program.shape[0]):
            places.invoke(functions, program[w, 0], 0, program[w, 1], frames, program[w, 3], 0)
        if flags[0] != 0:
            return i
        for r in range(0, last, 2):
            one = places.uint8(copies.ctypes.data, r)
            all_of_them = places.uint8(copies.ctypes.data, r + 1)[i * one.size :]
            for b in range(one.size):
                all_of_them[b] = one[b]
    return n


class Helpers:
    """Threads beside the caller's: each gets (function, arguments) and runs it."""

    def __init__(self, count: int) -> None:
        self.queues: list[SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]]] = []
        for i in range(count):
            queue: SimpleQueue[Any] = SimpleQueue()
            self.queues.append(queue)
            threading.Thread(
                target=self._work, args=(queue,), name=f"descent-step-{i}", daemon=True
            ).start()

    @staticmethod
    def _work(queue: SimpleQueue[Any]) -> None:
        while True:
            function, arguments = queue.get()
            while not queue.empty():  # behind the times: only the newest step matters
                function, arguments = queue.get()
            function(*arguments)

    def start(self, i: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Let helper i (from 1) run function(*arguments); returns at once."""
        self.queues[i - 1].put((function, arguments))
