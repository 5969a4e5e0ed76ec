"""What the store keeps: jobs, units of work, events; and what it is asked to keep.

All times are unix seconds (float), all durations seconds. `Content` is bytes kept in the database
itself (small) or the name of a file in the file store (`ref`), with `meta` (content type, headers:
JSON-able) beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = [
    "Content", "Event", "Job", "Lease", "NewJob", "NewUnit", "Page", "Submitted", "Swept", "Unit",
]  # fmt: skip

WEEK_S = 7 * 24 * 3600.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """A payload or a result."""

    data: bytes | None = None
    ref: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be accepted.

    `id`: made by `new_id()` when None. `attempts`: how often each unit is begun at most.
    `backoff_s`: wait after the first failed attempt; doubled after each further one, an hour at
    most. `timeout_s`: from the first lease to the end. `ttl_s`: kept for so long after its end.
    `idempotency_key`: with the same key (of one API) the first job is answered again, provided
    `fingerprint` (a hash of the request) is the same, else `Conflict`. `events`: names of the
    events put into the outbox when the job ends ("on-job-complete", "webhook").
    """

    api: str
    kind: str  # "AsyncAPI", "BatchAPI", "TaskAPI": whose words the status uses
    id: str | None = None
    version: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    ttl_s: float = WEEK_S
    attempts: int = 3
    backoff_s: float = 1.0
    idempotency_key: str | None = None
    fingerprint: str | None = None
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A unit of work: a request (async), a batch of items (batch), the run itself (task)."""

    payload: Content = Content()
    items: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. Units: `total = waiting + running + done + failed` (`failed` counts the
    dead letters and those that were refused for good); `retried` counts failed attempts that were
    queued again. `round` rises when an ended job is opened again (`retry`, `redrive`)."""

    id: str
    api: str
    kind: str
    version: int
    status: str
    reason: str
    config: dict[str, Any]
    created: float
    started: float | None
    ended: float | None
    deadline: float | None
    ttl_s: float
    timeout_s: float | None
    attempts: int
    backoff_s: float
    idempotency_key: str | None
    fingerprint: str | None
    events: tuple[str, ...]
    total: int
    running: int
    done: int
    failed: int
    retried: int
    busy_s: float  # summed over committed units: lease to commit
    progress: Any
    round: int

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    @property
    def waiting(self) -> int:
        """Units not begun, or waiting for another attempt."""
        return self.total - self.running - self.done - self.failed

    def eta_s(self, now: float) -> float | None:
        """Seconds to the end at the pace so far; None before the first unit is over."""
        over = self.done + self.failed
        if self.started is None or not self.open or not over:
            return None
        return max(0.0, now - self.started) / over * (self.total - over)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as it stands. `state`: held (its job is still being filled, or its turn is far off),
    queued, leased, done, failed (refused for good), dead (attempts used up). `fence` rises with
    each lease."""

    job: str
    index: int
    state: str
    items: int
    attempts: int
    fence: int
    payload: Content
    result: Content | None
    error: str | None
    code: str | None
    not_before: float
    lease_until: float | None
    worker: str | None
    since: float  # of the last change of state


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one unit until `until`; what `commit`, `fail`, `renew` and `release`
    are given. `attempt` counts from 1; `attempts` is the most there will be."""

    job: str
    index: int
    fence: int
    api: str
    version: int
    attempt: int
    attempts: int
    until: float
    payload: Content
    items: int
    config: dict[str, Any]
    deadline: float | None  # of the job

    @property
    def last(self) -> bool:
        """Whether a failure of this attempt is final."""
        return self.attempt >= self.attempts


@dataclass(frozen=True, slots=True)
class Submitted:
    """`fresh` is False when the idempotency key (or the id) had been accepted before."""

    job: Job
    fresh: bool


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be told once: `name` as in `NewJob.events`. `id` is the same for every attempt
    (a receiver can recognise a repeated delivery); `fence` rises with each claim."""

    id: str
    name: str
    job: str
    api: str
    payload: dict[str, Any]
    state: str  # queued, leased, done, dead
    attempt: int
    attempts: int
    fence: int
    created: float
    not_before: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `cursor` asks for the next part, None at the end."""

    items: list[T]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: leases that had run out (queued again / dead), jobs timed out, jobs whose
    filling had been given up."""

    returned: int = 0
    dead: int = 0
    timed_out: int = 0
    abandoned: int = 0
