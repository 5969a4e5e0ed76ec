"""A function on its way through a thread: what it is given, what comes of it, when it has ended."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Call", "Stopped", "Turn", "until_ended"]


class Stopped(BaseException):
    """Raised inside a service's own code when its answer is no longer wanted: time is up, or the
    client went away. Not an `Exception`, so that `except Exception` lets it pass."""


class Call:
    """A function with its arguments, on its way through a thread. Await `future` for its result;
    `ended` is set once no thread works on it any more."""

    __slots__ = (
        "arguments", "context", "ended", "failed", "function", "future", "outcome", "since",
        "stopped",
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.context = contextvars.copy_context()
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.outcome: Any = None
        self.failed = False
        self.stopped = False
        self.ended = False
        self.since = time.perf_counter()

    def end(self) -> None:
        """No thread works on it any more. Its context knows the request, which knows the call."""
        self.ended = True
        del self.context, self.function, self.arguments


class Turn:
    """Where a thread stands with its call, whatever is raised in it; see threads.py."""

    __slots__ = ("begun", "call", "outcome")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.call: Call | None = None
        self.begun = False
        self.outcome: tuple[Any, bool] = (Stopped(), True)  # unless it comes to one


async def until_ended(work: Any) -> None:
    """Return once `work.ended` (a call, a batch); being cancelled meanwhile does not shorten it."""
    cancelled: asyncio.CancelledError | None = None
    pause_s = 0.0005
    while not work.ended:
        try:
            await asyncio.sleep(pause_s)
        except asyncio.CancelledError as error:
            cancelled = error
        pause_s = min(pause_s * 1.5, 0.02)
    if cancelled is not None:
        raise cancelled
