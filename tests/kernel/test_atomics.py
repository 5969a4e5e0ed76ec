"""Atomics: counts of several threads add up; what was written before a release is seen after it."""

import threading

import numpy as np
import pytest

from descent.kernel import atomics, kernel


@kernel
def count(x, n):
    for _ in range(n):
        atomics.add(x, 1, 1)


@kernel
def spin_count(x, n):
    """The same by compare-and-swap: a lock of one word."""
    for _ in range(n):
        while not atomics.swap_if(x, 0, 0, 1):
            atomics.pause()
        x[1] += 1
        atomics.store(x, 0, 0)


@kernel
def one_by_one(x):
    first = atomics.add(x, 0, 5)
    atomics.store(x, 1, 7)
    swapped = atomics.swap_if(x, 1, 7, 9)
    failed = atomics.swap_if(x, 1, 7, 11)
    return first, atomics.load(x, 0), atomics.load(x, 1), swapped, failed


def test_what_each_returns():
    for form in (one_by_one.compiled, one_by_one.py):
        assert form(np.array([2, 0])) == (2, 7, 9, True, False)


@pytest.mark.parametrize("fn", [count, spin_count], ids=lambda f: f.py.__name__)
@pytest.mark.parametrize("form", ["compiled", "py"])
def test_threads_add_up(fn, form):
    x, n = np.zeros(2, np.int64), 20_000 if form == "compiled" else 500
    run = getattr(fn, form)
    run(x, 0)  # compiled before the threads start
    threads = [threading.Thread(target=run, args=(x, n)) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert x.tolist() == [0, 3 * n]
