"""Work divided over threads, so that a busy machine slows it in proportion and no more.

A piece of work is cut into slabs; each thread takes the next slab when it is done with its last
one, and waiting is sleeping: a slow thread just takes fewer slabs. Which slabs there are depends on
the shapes alone, so a rerun gives the same bits. NumPy lets go of the interpreter lock inside its
loops and BLAS calls, so plain Python threads compute side by side.

`DESCENT_THREADS` sets the number of threads (default: the processors this process may use). A
process forked from a running one starts threads of its own on first use.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["n_threads", "share", "slabs", "worth_sharing"]

_WORTH = 12_000_000  # operations below which handing over costs more than it saves (about 0.1 ms)


@functools.cache
def n_threads() -> int:
    """Threads that share one piece of work."""
    asked = os.environ.get("DESCENT_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def slabs(n: int, least: int = 1) -> list[slice]:
    """Cut n into up to 2 slabs per thread, none much smaller than `least`."""
    parts = max(1, min(2 * n_threads(), n // least))
    edges = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def worth_sharing(operations: int) -> bool:
    """Whether work of so many (multiply-add like) operations gains from being divided."""
    return operations >= _WORTH and n_threads() > 1


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
_in_use = threading.Lock()  # one divided work at a time: two would only get in each other's way


def share(tasks: list[Callable[[], object]]) -> None:
    """Run all tasks, this thread taking part; returns when every one is done.

    While another thread shares work (or from inside a task) they simply run one after the other.
    The first error of a task is raised here.
    """
    global _crew
    if len(tasks) < 2 or n_threads() < 2 or not _in_use.acquire(blocking=False):
        for task in tasks:
            task()
        return
    try:
        if _crew is None or _crew.pid != os.getpid():
            _crew = _Crew(n_threads() - 1)
        _crew.share(tasks, min(len(tasks), n_threads()) - 1)
    finally:
        _in_use.release()
