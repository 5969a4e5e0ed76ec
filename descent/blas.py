"""Matrix products through NumPy's BLAS, divided over threads by ourselves.

    y[i : i+h] = a[i : i+h] · c        for a few slabs of rows (or of columns, or of the batch)

A BLAS that spreads one product over threads makes them wait for each other in a busy loop; when
anything else runs on the machine that collapses (a 256³ product with one core busy: 2 GFLOP/s
instead of 140). Here BLAS runs at one thread, each thread takes the next slab when it is done with
its last one, and waiting is sleeping: a slow thread just takes fewer slabs. Which slabs there are
depends on the shapes alone, so a rerun gives the same bits.

`DESCENT_THREADS` sets the number of threads (default: the processors this process may use);
`DESCENT_BLAS=own` leaves BLAS's threads alone and divides nothing. A process forked from a running
one starts threads of its own on first use.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import numpy as np

__all__ = ["dot", "matmul", "n_threads", "single_threaded_blas"]

Array = np.ndarray
_WORTH = 12_000_000  # operations below which handing over costs more than it saves (about 0.1 ms)


@functools.cache
def n_threads() -> int:
    """Threads that share one product."""
    if os.environ.get("DESCENT_BLAS") == "own":
        return 1
    asked = os.environ.get("DESCENT_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


@functools.cache
def single_threaded_blas() -> bool:
    """Set NumPy's OpenBLAS to one thread; False where it is another BLAS (left as it is)."""
    if os.environ.get("DESCENT_BLAS") == "own":
        return False
    root = Path(np.__file__).parent
    for folder in (root.parent / "numpy.libs", root / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            library = ctypes.CDLL(str(path))
            for name in ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_",
                         "scipy_openblas_set_num_threads", "openblas_set_num_threads"):  # fmt: skip
                if hasattr(library, name):
                    getattr(library, name)(ctypes.c_int(1))
                    return True
    return False


class _Crew:
    """Threads that wait for work; made on first use, daemons, one crew per process."""

    def __init__(self, size: int) -> None:
        self.pid = os.getpid()
        self.queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for i in range(size):
            threading.Thread(target=self._work, name=f"descent-{i}", daemon=True).start()

    def _work(self) -> None:
        while True:
            self.queue.get()()

    def share(self, tasks: list[Callable[[], object]], helpers: int) -> None:
        """Run all tasks, this thread taking part; returns when every one is done."""
        take = itertools.count()  # next() on it is atomic
        done = [threading.Lock() for _ in range(helpers)]
        errors: list[BaseException] = []

        def run() -> None:
            try:
                while (i := next(take)) < len(tasks):
                    tasks[i]()
            except BaseException as error:  # handed to the caller's thread
                errors.append(error)

        def help_out(lock: threading.Lock) -> None:
            try:
                run()
            finally:
                lock.release()

        for lock in done:
            lock.acquire()
            self.queue.put(functools.partial(help_out, lock))
        run()
        for lock in done:
            lock.acquire()
        if errors:
            raise errors[0]


_crew: _Crew | None = None
_busy = threading.Lock()  # one divided product at a time; others run undivided


def _share(tasks: list[Callable[[], object]]) -> None:
    global _crew
    if _crew is None or _crew.pid != os.getpid():
        _crew = _Crew(n_threads() - 1)
    _crew.share(tasks, n_threads() - 1)


def _slabs(n: int, least: int) -> list[slice]:
    """Cut n into up to 2 slabs per thread, none much smaller than `least`."""
    parts = max(1, min(2 * n_threads(), n // least))
    edges = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _divide(work: int, dtype: np.dtype) -> bool:
    return work >= _WORTH and dtype.kind == "f" and single_threaded_blas() and n_threads() > 1


def dot(a: Array, c: Array) -> Array:
    """a [m, k] · c [k, n] → [m, n]."""
    (m, k), n = a.shape, c.shape[1]
    if not _divide(2 * m * k * n, a.dtype) or not _busy.acquire(blocking=False):
        single_threaded_blas()
        return np.dot(a, c)
    try:
        y = np.empty((m, n), np.result_type(a, c))
        if m >= n:
            tasks = [functools.partial(np.matmul, a[s], c, out=y[s]) for s in _slabs(m, 32)]
        else:
            tasks = [functools.partial(np.matmul, a, c[:, s], out=y[:, s]) for s in _slabs(n, 32)]
        _share(tasks)
        return y
    finally:
        _busy.release()


def matmul(a: Array, c: Array) -> Array:
    """a [b, m, k] · c [b, k, n] → [b, m, n]."""
    b, m, k = a.shape
    n = c.shape[2]
    if b == 1:
        return dot(a[0], c[0])[None]
    if not _divide(2 * b * m * k * n, a.dtype) or not _busy.acquire(blocking=False):
        single_threaded_blas()
        return np.matmul(a, c)
    try:
        y = np.empty((b, m, n), np.result_type(a, c))
        _share([functools.partial(np.matmul, a[s], c[s], out=y[s]) for s in _slabs(b, 1)])
        return y
    finally:
        _busy.release()
