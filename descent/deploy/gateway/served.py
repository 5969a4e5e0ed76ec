"""One version of one API behind the gateway: who may enter, who waits, who is refused.

    in flight < max_concurrency → enter    else queued < max_queue_length → wait, in order
    else 503 "pending request queue full"
    Retry-After = (in flight + queued) · service time / max_concurrency

Reference: Cortex' request breaker (pod.max_concurrency, pod.max_queue_length). A request that has
entered stays counted until its application has really ended, deadline or not.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from descent.deploy.errors import HttpError

__all__ = ["Limits", "Served"]

KEPT_SAMPLES = 900  # one a second


@dataclass(frozen=True)
class Limits:
    """`max_concurrency` is of all replicas together. `timeout_s`: None is no limit.
    `overflow_status` is what is answered past the queue: 503 as Cortex does, or 429."""

    max_concurrency: int = 1
    max_queue_length: int = 100
    timeout_s: float | None = None
    max_body_bytes: int = 10 * 2**20
    overflow_status: int = 503


class Served:
    """A pool's application with its limits; what an update replaces in a `Route`.

    `in_flight`: requests inside the application. `queued`: requests that wait to enter.
    """

    def __init__(
        self,
        api: str,
        version: int,
        app: ASGIApp,
        limits: Limits | None = None,
        signature: dict[str, Any] | None = None,
    ) -> None:
        self.api = api
        self.version = version
        self.app = app
        self.limits = limits or Limits()
        self.signature = signature
        self.in_flight = 0
        self.mean_s = 0.0  # of the time inside the application, the last ~20 requests
        self.on_wait: Callable[[], None] | None = None  # called when a request begins to wait
        self._open = self.limits.max_concurrency  # 0 while held
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._drained: asyncio.Event | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=KEPT_SAMPLES)

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def try_enter(self) -> bool:
        """Enter at once if there is room; then `leave` must be called."""
        if self.in_flight < self._open:
            self.in_flight += 1
            return True
        return False

    async def enter(self) -> None:
        """Wait in order until there is room; then `leave` must be called.

        Raises `HttpError` when the queue is full. Cancelling gives the place up.
        """
        if not self._waiting and self.try_enter():
            return
        if len(self._waiting) >= self.limits.max_queue_length:
            raise self.refusal()
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        if self.on_wait is not None:
            self.on_wait()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()  # it had just been given its place
            else:
                with suppress(ValueError):
                    self._waiting.remove(place)
                self._note_idle()
            raise

    def leave(self) -> None:
        """The application has ended for one request; the first that waits takes its place."""
        self.in_flight -= 1
        if self._waiting:
            self._admit()
        if self._drained is not None:
            self._note_idle()

    def refusal(self) -> HttpError:
        """What is said past the queue."""
        return HttpError(
            self.limits.overflow_status,
            "queue_full",
            f"pending request queue full: {self.in_flight} requests of '{self.api}' are being "
            f"answered and {self.queued} wait (max_queue_length)",
            retry_after_s=self.wait_s(),
        )

    def wait_s(self) -> float:
        """How long a request that came now would wait, from the measured service time."""
        ahead = self.in_flight + len(self._waiting)
        return ahead * self.mean_s / max(1, self.limits.max_concurrency)

    def hold(self) -> None:
        """Let nobody in for now (the pool is scaled to zero, or not ready); requests wait."""
        self._open = 0

    def release(self) -> None:
        """Let requests in again."""
        self.set_limits(self.limits)

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on (replicas came or went); ends a hold."""
        self.limits = limits
        self._open = limits.max_concurrency
        self._admit()

    async def drained(self, timeout_s: float | None = None) -> bool:
        """Wait until nobody is inside or waiting; False if that took longer than `timeout_s`."""
        if not (self.in_flight or self._waiting):
            return True
        if self._drained is None:
            self._drained = asyncio.Event()
        try:
            await asyncio.wait_for(self._drained.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def sample(self, now: float | None = None) -> None:
        """Note how many are in flight or wait; the gateway does so once a second."""
        at = time.time() if now is None else now
        self._samples.append((at, self.in_flight + len(self._waiting)))

    def samples(self, window_s: float = 60.0) -> list[int]:
        """In flight + queued at each second of the last `window_s`, oldest first."""
        if not self._samples:
            return []
        since = self._samples[-1][0] - window_s
        return [n for at, n in self._samples if at > since]

    def _admit(self) -> None:
        while self._waiting and self.in_flight < self._open:
            place = self._waiting.popleft()
            if not place.done():  # else its request was cancelled a moment ago
                self.in_flight += 1
                place.set_result(None)

    def _note_idle(self) -> None:
        if self._drained is not None and not self.in_flight and not self._waiting:
            self._drained.set()
            self._drained = None
