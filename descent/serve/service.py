"""The service behind the HTTP surface: the models by name, and a worker's queue for each.

    request → `Plan` (planning.py) → one `Job` in the completer's `Worker`

Knows no HTTP beyond the status of an `ApiError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from descent.generate.completer import Completer, Prompt
from descent.generate.sampling import Sampling
from descent.generate.streams import Streams
from descent.serve.errors import ApiError
from descent.serve.metrics import Metrics
from descent.serve.worker import Job, QueueFull, Worker

__all__ = ["Limits", "Plan", "Service"]


@dataclass(frozen=True)
class Limits:
    """What one client may take. Requests beyond running + waiting are answered 429."""

    max_running: int = 8
    max_waiting: int = 64
    max_tokens: int = 16_384
    max_choices: int = 256
    max_body_bytes: int = 4 * 2**20
    request_timeout_s: float = 600.0


@dataclass(frozen=True)
class Plan:
    """A checked request: everything that can be refused has been."""

    completer: Completer
    prompts: list[Prompt]
    sampling: Sampling
    n: int
    best_of: int
    echo: bool

    def steps(self) -> Streams:
        """`(index, Step)` of all choices: prompt 0's `best_of`, then prompt 1's …"""
        return self.completer.streams(self.prompts, self.sampling, n=self.best_of, echo=self.echo)

    @property
    def prompt_tokens(self) -> int:
        return sum(prompt.n_tokens for prompt in self.prompts)


class Service:
    """Completers by name, a worker for each, and whether new requests are taken."""

    def __init__(self, completers: Sequence[Completer], limits: Limits) -> None:
        if not completers:
            raise ValueError("there is nothing to serve: pass at least one completer")
        self.completers = {completer.name: completer for completer in completers}
        if len(self.completers) < len(completers):
            names = [completer.name for completer in completers]
            raise ValueError(f"two completers bear the same name: {', '.join(names)}")
        self.limits = limits
        self.metrics = Metrics(self._engines)
        self.draining = False
        self._jobs: set[Job] = set()
        self._workers = {
            name: Worker(
                name,
                self.metrics,
                max_running=limits.max_running,
                max_waiting=limits.max_waiting,
            )
            for name in self.completers
        }

    def start(self) -> None:
        for worker in self._workers.values():
            worker.start()

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.stop()

    def _engines(self) -> dict[str, Any]:
        """The engines that have begun to work: asking for metrics packs no weights."""
        made = {name: completer.made_engine for name, completer in self.completers.items()}
        return {name: engine for name, engine in made.items() if engine is not None}

    @property
    def working(self) -> bool:
        """Whether every model's worker lives."""
        return all(worker.working for worker in self._workers.values())

    @property
    def load(self) -> int:
        """Requests whose answer is not complete."""
        return sum(worker.load for worker in self._workers.values())

    def abort(self, reason: Exception) -> None:
        """End every request with `reason`, within a token each."""
        for job in list(self._jobs):
            job.cancel(reason)

    def completer(self, name: str | None) -> Completer:
        """The named completer; the only one if the request names none."""
        if name is None:
            if len(self.completers) == 1:
                return next(iter(self.completers.values()))
            raise ApiError(400, f"Name a model: {self._known}.", param="model")
        if name not in self.completers:
            raise ApiError(
                404,
                f"The model '{name}' does not exist; served here: {self._known}.",
                param="model",
                code="model_not_found",
            )
        return self.completers[name]

    @property
    def _known(self) -> str:
        return ", ".join(f"'{name}'" for name in self.completers)

    def submit(self, plan: Plan) -> Job:
        """Queue `plan`: 503 while shutting down, 429 when the queue is full."""
        if self.draining:
            raise ApiError(503, "The server is shutting down.", code="draining", retry_after_s=5)
        job = Job(plan.steps(), timeout_s=self.limits.request_timeout_s)
        try:
            self._workers[plan.completer.name].submit(job)
        except QueueFull as full:
            raise ApiError(
                429,
                f"Too many requests: {self.limits.max_running} are running and "
                f"{self.limits.max_waiting} waiting; try again in {full.retry_after_s} s.",
                code="queue_full",
                retry_after_s=full.retry_after_s,
            ) from full
        self._jobs.add(job)
        name, metrics = plan.completer.name, self.metrics
        metrics.prompt_tokens.labels(name).inc(plan.prompt_tokens)
        metrics.request_prompt.labels(name).observe(plan.prompt_tokens)
        metrics.request_n.labels(name).observe(plan.n)
        metrics.request_max.labels(name).observe(plan.sampling.max_tokens)
        return job

    def done(self, job: Job) -> None:
        """Nobody reads `job` any longer: finished, failed or its client gone."""
        job.cancel()
        self._jobs.discard(job)
