"""Reads, writes and counts that several threads can rely on.

    old = add(x, i, v)        x[i] += v, as one step that no other thread can cut in two

`x` is a 1-D int64 array. What a thread wrote before `store` is seen by a thread that `load`s the
stored number (release, acquire: C++11's memory model). Compiled they are single instructions; as
written, Python under one lock.
"""

from __future__ import annotations

import threading
import time

import numpy as np

__all__ = ["add", "give_way", "load", "pause", "store", "swap_if"]

Array = np.ndarray
_one_at_a_time = threading.Lock()


def load(x: Array, i: int) -> int:
    """x[i], and everything its writer wrote before."""
    with _one_at_a_time:
        return int(x[i])


def store(x: Array, i: int, v: int) -> None:
    """x[i] = v, after everything written before."""
    with _one_at_a_time:
        x[i] = v


def add(x: Array, i: int, v: int) -> int:
    """x[i] += v; returns what it was."""
    with _one_at_a_time:
        old = int(x[i])
        x[i] = old + v
        return old


def swap_if(x: Array, i: int, expected: int, new: int) -> bool:
    """x[i] = new if it is `expected`; returns whether it was."""
    with _one_at_a_time:
        was = x[i] == expected
        if was:
            x[i] = new
        return bool(was)


def pause() -> None:
    """Tell the processor (as written: the interpreter) that this thread waits in a loop."""
    time.sleep(0)


def give_way() -> None:
    """Offer the processor to other threads that are ready to run."""
    time.sleep(0)
