"""Dynamic batching: requests that come close together are answered by one call, in order.

A batch begins when nothing runs and it is full, or has waited `max_wait_ms`, or waiting for one
more does not pay (patience.py). A request whose predicted time to its answer is beyond
`max_latency_ms` is refused at once (503): late answers help nobody and make the next ones late too.
Reference: Crankshaw et al. 2017 (Clipper) §4.3. Left out: several batches at a time (one model, one
batch; the next one gathers meanwhile).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from descent.deploy import tracing
from descent.deploy.errors import HttpError
from descent.deploy.service.costs import Line
from descent.deploy.service.inflight import InFlight, current
from descent.deploy.service.patience import Patience

__all__ = ["Batcher"]

RunBatch = Callable[[list[Any]], Awaitable[list[Any]]]


async def _closed(_: list[Any]) -> list[Any]:
    raise RuntimeError("the service has been unloaded")


class _Item:
    """One request's place. `ended`: no batch works on it (any more). `span`: where it is traced."""

    __slots__ = ("batch", "ended", "future", "since", "span", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.since = time.perf_counter()
        self.batch: _Batch | None = None
        self.ended = True
        self.span = None if tracing.active is None else tracing.active.here()


class _Batch:
    """Items answered by one call; stopped once nobody waits for any of them."""

    def __init__(self, items: list[_Item]) -> None:
        self.items = items
        self.wanted = len(items)
        self.since = time.perf_counter()
        self.task: asyncio.Task[list[Any]] | None = None

    def drop(self) -> None:
        self.wanted -= 1
        if not self.wanted and self.task is not None:
            self.task.cancel()


class Batcher:
    """Gathers values for `run`, which gives an outcome for each: a result, or an exception that is
    that one's alone. `on_batch(size)` is told of every batch."""

    def __init__(
        self,
        run: RunBatch,
        *,
        max_batch_size: int,
        max_wait_ms: float,
        max_latency_ms: float | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.cost = Line()
        self._run = run
        self._size = max_batch_size
        self._wait_s = max_wait_ms / 1e3
        self._latency_s = None if max_latency_ms is None else max_latency_ms / 1e3
        self._on_batch = on_batch
        self._waiting: deque[_Item] = deque()
        self._running: _Batch | None = None
        self._timer: asyncio.Handle | None = None
        self._idle_since = 0.0
        self._patience = Patience(self._wait_s)

    async def submit(self, value: Any, request: InFlight) -> Any:
        """The result for `value`. Raises what its batch says of it, `HttpError` 503 if it would be
        late. Cancelled: gives its place up; `request.work.ended` says when that is so."""
        now = time.perf_counter()
        self._refuse_late(now)
        self._patience.arrival(now)
        item = _Item(value)
        request.work = item
        self._waiting.append(item)
        self._consider()
        try:
            outcome = await item.future
        except asyncio.CancelledError:
            if item.batch is None:
                self._give_up(item)
            elif not item.ended:
                item.batch.drop()
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _give_up(self, item: _Item) -> None:
        if item in self._waiting:
            self._waiting.remove(item)

    def close(self) -> None:
        """Let go of what it ran: the service is freed at once, not at some later collection."""
        self._run = _closed

    def predicted_s(self, now: float) -> float:
        """How long a request that comes now would take, by the measured costs."""
        ahead, running = len(self._waiting), self._running
        left = 0.0
        if running is not None:
            left = max(0.0, self.cost.seconds(len(running.items)) - (now - running.since))
        whole, mine = divmod(ahead, self._size)
        return left + whole * self.cost.seconds(self._size) + self.cost.seconds(mine + 1)

    def _refuse_late(self, now: float) -> None:
        if self._latency_s is None or not self.cost.known:
            return
        if not self._waiting and self._running is None:
            return  # whatever it takes: a bound below one batch's time must not refuse for ever
        predicted = self.predicted_s(now)
        if predicted > self._latency_s:
            raise HttpError(
                503,
                "overloaded",
                f"An answer would take about {predicted:.2g} s, more than the {self._latency_s:g} s"
                " allowed (batching.max_latency_ms).",
                retry_after_s=predicted - self._latency_s,
            )

    def _consider(self) -> None:
        """Begin a batch, or set the time to think of it again."""
        if self._running is not None or not self._waiting:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.perf_counter()
        left = self._wait_s - (now - max(self._waiting[0].since, self._idle_since))
        wait_s = 0.0
        if len(self._waiting) < self._size and left > 0:
            wait_s = self._patience.wait_s(len(self._waiting), left, self.cost, now)
        if wait_s <= 0:
            self._begin()
        else:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._consider)

    def _begin(self) -> None:
        items = []
        while self._waiting and len(items) < self._size:
            item = self._waiting.popleft()
            if item.future.cancelled():  # just now
                continue
            item.ended = False
            items.append(item)
        if not items:
            return
        self._running = batch = _Batch(items)
        for item in items:
            item.batch = batch
        if self._on_batch is not None:
            self._on_batch(len(items))
        batch.task = asyncio.get_running_loop().create_task(self._outcomes(batch))
        batch.task.add_done_callback(lambda task: self._end(batch, task))

    async def _outcomes(self, batch: _Batch) -> list[Any]:
        current.set(None)  # a batch belongs to no one request
        values = [item.value for item in batch.items]
        if tracing.active is None:
            outcomes = await self._run(values)
        else:
            with tracing.active.batch([item.span for item in batch.items]):
                outcomes = await self._run(values)
        self.cost.note(len(outcomes), time.perf_counter() - batch.since)
        return outcomes

    def _end(self, batch: _Batch, task: asyncio.Task[list[Any]]) -> None:
        batch.task = None
        if task.cancelled():
            outcomes = [HttpError(503, "stopped", "The service was stopped.")] * len(batch.items)
        elif (error := task.exception()) is not None:
            outcomes = [error] * len(batch.items)
        else:
            outcomes = task.result()
        for item, outcome in zip(batch.items, outcomes, strict=True):
            item.ended, item.batch = True, None  # else they keep one another until a collection
            if not item.future.done():
                item.future.set_result(outcome)
        self._running = None
        self._idle_since = time.perf_counter()
        self._patience.answered(self._idle_since)
        self._consider()
