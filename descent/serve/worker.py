"""One thread per model, taking turns: a token of each running request at a time.

A turn is one `poll()` of a request's steps. So no request waits for another's last token, a
cancelled one ends within a token, and the event loop never computes. Where the model has an engine,
the first poll of a round computes a token of every request, and the others find theirs ready. The
queue is bounded: what does not fit is refused at once, rather than answered late.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator

from descent.generate.stream import Step
from descent.generate.streams import Streams
from descent.serve.metrics import Metrics

__all__ = ["Job", "QueueFull", "Worker"]


class QueueFull(Exception):
    """The waiting line is full; `retry_after_s` estimates when it is worth trying again."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Job:
    """One request: `(choice index, Step)` pairs made by the worker, read by the event loop."""

    def __init__(self, steps: Streams, *, timeout_s: float) -> None:
        self.steps = steps
        self.timeout_s = timeout_s
        self.cancelled = False
        self.reason: Exception | None = None
        self.submitted = time.perf_counter()
        self.last_step: float | None = None
        self.tokens = 0
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[tuple[int, Step] | Exception | None] = asyncio.Queue()

    def cancel(self, reason: Exception | None = None) -> None:
        """The worker drops the job at its next turn and tells the reader `reason`, if any."""
        if not self.cancelled:
            self.reason = reason  # before the flag: the worker's thread reads them in that order
            self.cancelled = True

    def put(self, item: tuple[int, Step] | Exception | None) -> None:
        """Called by the worker: a step, the error that ended the job, or None at its end."""
        try:
            self._loop.call_soon_threadsafe(self._ready.put_nowait, item)
        except RuntimeError:  # the loop is closed: the server is gone, and so is the reader
            self.cancel()

    async def __aiter__(self) -> AsyncIterator[tuple[int, Step]]:
        try:
            while (item := await self._ready.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.cancel()


class Worker:
    """The thread of one model. `max_running` requests take turns, `max_waiting` more stand in
    line."""

    def __init__(self, name: str, metrics: Metrics, *, max_running: int, max_waiting: int) -> None:
        self.name = name
        self.max_running = max_running
        self.max_waiting = max_waiting
        self._metrics = metrics
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: deque[Job] = deque()
        self._stopping = False
        self._mean_s = 1.0  # running mean of a request's duration, for Retry-After
        self._thread = threading.Thread(target=self._work, name=f"model {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the current token; jobs left over are cancelled.

        Waits 5 s for that token: a daemon thread inside a very long one does not keep the process.
        """
        with self._changed:
            self._stopping = True
            for job in [*self._waiting, *self._running]:
                job.cancel()
            self._changed.notify()
        self._thread.join(timeout=5.0)

    @property
    def working(self) -> bool:
        """Whether the thread lives: only a defect of ours ends it early."""
        return self._thread.is_alive()

    @property
    def load(self) -> int:
        """Requests running and waiting."""
        with self._changed:
            return len(self._running) + len(self._waiting)

    def submit(self, job: Job) -> None:
        """Stand in line, or `QueueFull`."""
        with self._changed:
            if len(self._running) + len(self._waiting) >= self.max_running + self.max_waiting:
                ahead = self.max_running + self.max_waiting
                raise QueueFull(max(1, round(self._mean_s * ahead / self.max_running)))
            self._waiting.append(job)
            self._count()
            self._changed.notify()

    def _count(self) -> None:
        self._metrics.running.labels(self.name).set(len(self._running))
        self._metrics.waiting.labels(self.name).set(len(self._waiting))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._running or self._waiting or self._stopping):
                    self._changed.wait()
                if self._stopping and not (self._running or self._waiting):
                    return
                while self._waiting and len(self._running) < self.max_running:
                    self._running.append(first := self._waiting.popleft())
                    waited = time.perf_counter() - first.submitted
                    self._metrics.queue_s.labels(self.name).observe(waited)
                self._count()
                job = self._running[0]
            goes_on = self._turn(job)
            with self._changed:
                self._running.popleft()
                if goes_on:
                    self._running.append(job)
                self._count()

    def _turn(self, job: Job) -> bool:
        """Make one token of `job`; False when there will be no more."""
        if time.perf_counter() - job.submitted > job.timeout_s:
            job.cancel(TimeoutError(f"not complete after {job.timeout_s:g} s"))
        if job.cancelled:
            job.steps.close()  # frees the session's memory now
            job.put(job.reason)
            self._metrics.finished.labels(self.name, "abort").inc()
            return False
        try:
            items = job.steps.poll()
            for item in items or ():
                self._observe(job, item[1])
                job.put(item)
            if items is not None:
                return True
            job.put(None)
        except Exception as error:  # a model's failure belongs to its request, not to the thread
            job.put(error)
            self._metrics.finished.labels(self.name, "error").inc()
        took = time.perf_counter() - job.submitted
        self._mean_s += 0.2 * (took - self._mean_s)
        self._metrics.whole_s.labels(self.name).observe(took)
        self._metrics.request_made.labels(self.name).observe(job.tokens)
        return False

    def _observe(self, job: Job, step: Step) -> None:
        now = time.perf_counter()
        if step.prompt:
            return
        if job.last_step is None:
            self._metrics.first_token_s.labels(self.name).observe(now - job.submitted)
        else:
            self._metrics.inter_token_s.labels(self.name).observe(now - job.last_step)
        job.last_step = now
        job.tokens += 1
        self._metrics.generated_tokens.labels(self.name).inc()
        if step.finish_reason:
            self._metrics.finished.labels(self.name, step.finish_reason).inc()
