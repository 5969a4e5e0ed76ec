"""What job APIs count, under Cortex' names, for Prometheus.

    cortex_async_{request_count, latency, active, queued, in_flight}
    cortex_batch_{succeeded, failed}, cortex_time_per_batch      cortex_task_…, cortex_time_per_task
Cortex' names have no `_total`, so they are exported as untyped samples; `descent_jobs_*` are ours.
Labels: api_name and api_kind, not job_id (Cortex'): a label per job would grow for ever.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["Counts", "JobsCollector", "Times"]

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class Times:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        return sum(self.buckets)


class Counts:
    """What one API has counted since this process began, and its queue as last seen."""

    def __init__(self, api: str, kind: str):
        self.api, self.kind = api, kind
        self.by_status: Counter[str] = Counter()
        self.succeeded = self.failed = self.retried = 0
        self.times = Times()
        self.queued = self.active = self.dead = 0  # of all nodes, a second ago at most
        self.accepted = 0

    def ended(self, seconds: float, state: str) -> None:
        """A unit has been settled as `state`."""
        if state == "done":
            self.succeeded += 1
            self.times.add(seconds)
        elif state == "queued":
            self.retried += 1
            self.failed += 1  # Cortex counts attempts
        elif state in ("dead", "failed"):
            self.failed += 1


class JobsCollector:
    """A collector for prometheus_client's registry; `counts()` gives those of all APIs."""

    def __init__(self, counts: Callable[[], Iterable[Counts]]):
        self._counts = counts

    def describe(self) -> list[Any]:
        """Nothing is fixed before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, as prometheus_client asks for them."""
        from prometheus_client import Metric

        families: dict[str, Metric] = {}

        def family(name: str, words: str, kind: str = "unknown") -> Metric:
            return families.setdefault(name, Metric(name, words, kind))

        for count in self._counts():
            labels = {"api_name": count.api, "api_kind": count.kind}
            if count.kind == "AsyncAPI":
                _async(family, count, labels)
            else:
                _job(family, count, labels)
            for state in ("queued", "active", "dead"):
                family("descent_jobs_units", "units by state", "gauge").add_sample(
                    "descent_jobs_units", {**labels, "state": state}, getattr(count, state)
                )
            for outcome in ("succeeded", "failed"):
                family("descent_jobs_attempts", "attempts at units", "counter").add_sample(
                    "descent_jobs_attempts_total",
                    {**labels, "outcome": outcome},
                    getattr(count, outcome),
                )
            family("descent_jobs_retried", "failed attempts queued again").add_sample(
                "descent_jobs_retried", labels, count.retried
            )
        yield from families.values()


Family = Callable[..., Any]


def _async(family: Family, count: Counts, labels: dict[str, str]) -> None:
    name = "cortex_async_request_count"
    for status, number in count.by_status.items():
        family(name, "requests worked on").add_sample(
            name, {**labels, "status_code": status}, number
        )
    _histogram(family("cortex_async_latency", "seconds of work", "histogram"), count.times, labels)
    in_flight = count.queued + count.active
    for word, value in (
        ("active", count.active),
        ("queued", count.queued),
        ("in_flight", in_flight),
    ):
        name = f"cortex_async_{word}"
        family(name, f"requests {word.replace('_', ' ')}", "gauge").add_sample(name, labels, value)


def _job(family: Family, count: Counts, labels: dict[str, str]) -> None:
    word = "batch" if count.kind == "BatchAPI" else "task"
    for end in ("succeeded", "failed"):
        name = f"cortex_{word}_{end}"
        family(name, f"{word} attempts {end}").add_sample(name, labels, getattr(count, end))
    name = f"cortex_time_per_{word}"
    _histogram(family(name, f"seconds per {word}", "histogram"), count.times, labels)


def _histogram(metric: Any, times: Times, labels: dict[str, str]) -> None:
    total = 0
    for bound, number in zip((*BOUNDS_S, float("inf")), times.buckets):
        total += number
        edge = "+Inf" if bound == float("inf") else repr(float(bound))
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": edge}, total)
    metric.add_sample(f"{metric.name}_count", labels, total)
    metric.add_sample(f"{metric.name}_sum", labels, times.sum_s)
