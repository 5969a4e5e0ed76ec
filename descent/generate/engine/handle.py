"""What `Engine.submit` gives back: the steps of one completion as they come, and a way to end it.

Iterating makes the engine take turns when no thread of its own does; turns taken for one handle
advance all others too. Left out: waiting without a thread (the service reads from its worker).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from descent.generate.writing import Step

__all__ = ["Handle"]


class Handle:
    """An iterator of `Step`s; raises what ended the completion early.

    `submitted_s`, `first_s`, `last_s`: `time.perf_counter()` at submission, first and latest token;
    `n_cached`: prompt tokens taken from the prefix cache.
    """

    def __init__(self, advance: Callable[[Handle], None], let_go: Callable[[], None]) -> None:
        self._advance, self._let_go = advance, let_go
        self._ready: deque[Step] = deque()
        self._news = threading.Condition()
        self._error: BaseException | None = None
        self.ended = False
        self.cancelled = False
        self.submitted_s = time.perf_counter()
        self.first_s: float | None = None
        self.last_s: float | None = None
        self.n_cached = 0

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        while not self._ready:
            if self.ended:
                if self._error is not None:
                    raise self._error
                raise StopIteration
            self._advance(self)
        return self._ready.popleft()

    def advance(self) -> None:
        """Take one turn of the engine (or wait a moment for its thread) unless there is news."""
        if not self.has_news:
            self._advance(self)

    @property
    def has_news(self) -> bool:
        """Whether `next` answers at once."""
        return bool(self._ready) or self.ended

    def cancel(self) -> None:
        """No more steps are wanted; what the sequence holds is freed within a turn."""
        if not (self.ended or self.cancelled):
            self.cancelled = True
            self._let_go()

    def close(self) -> None:
        """`cancel`, by the name that generators have."""
        self.cancel()

    def wait(self, timeout_s: float) -> None:
        """Until there is news, at most so long."""
        with self._news:
            self._news.wait_for(lambda: self.has_news, timeout_s)

    def put(self, steps: Iterable[Step]) -> None:
        """Called by the engine."""
        steps = list(steps)
        if any(not step.prompt for step in steps):
            self.last_s = time.perf_counter()
            self.first_s = self.last_s if self.first_s is None else self.first_s
        with self._news:
            self._ready.extend(steps)
            self._news.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Called by the engine: nothing follows what has been put."""
        with self._news:
            if not self.ended:
                self._error, self.ended = error, True
            self._news.notify_all()
