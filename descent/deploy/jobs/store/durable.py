"""The store: jobs and units of work, each change of state one transaction.

    job:   enqueuing → running → ended (its kind's words)          unit:  held → queued ⇄ leased → done
                                                                                      ↘ failed | dead

An attempt is counted before its work begins, so a unit that kills its worker ends among the dead
letters. A result is committed under the lease's fence (a number that rises with each lease): the
commit of an older lease is refused, so each unit has exactly one result. Every method may be called
again after an unclear answer (`StoreUnavailable`): a change already made is recognised.
Left out: priorities; moving a store between databases.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from descent.deploy.jobs.store.database import Database
from descent.deploy.jobs.store.records import (
    Content,
    Job,
    Lease,
    NewJob,
    NewUnit,
    Page,
    Submitted,
    Swept,
    Unit,
)

__all__ = ["Store"]


class Store:
    """Jobs over a database. `now` gives unix seconds (tests pass a simulated clock).

    Also: `events` (the outbox), `schedules`, `versions`, `keys`, `settings`.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self.database = database
        self.now = now

    async def submit(
        self, job: NewJob, units: Sequence[NewUnit] = (), *, complete: bool = True
    ) -> Submitted:
        """Accept a job; when this returns it survives a power cut.

        `complete=False`: more units will come (`add_units`, then `start_job`); until then the job
        is "enqueuing" and none of its work begins. A job without units ends at once, successfully.
        Raises `Conflict`, `StoreFull`.
        """
        raise NotImplementedError

    async def add_units(self, job: str, units: Sequence[NewUnit], *, start: int) -> int:
        """Add units numbered from `start` to a job that is being filled; the number there are now.

        Numbers already there are passed over, so a chunk can be sent again. A gap is a ValueError.
        A job that is filled by nobody for `abandon_s` (60 s) becomes enqueue_failed by `sweep`.
        """
        raise NotImplementedError

    async def start_job(self, job: str) -> Job:
        """All units are there: the job runs. Raises `Gone`."""
        raise NotImplementedError

    async def end_job(self, job: str, status: str, reason: str) -> Job:
        """End an open job with this status: "stopped", "enqueue_failed", "worker_oom" …; what was
        not begun never will be, what is under way is refused at its commit."""
        raise NotImplementedError

    async def cancel(self, job: str, reason: str = "cancelled by the user") -> Job:
        """End an open job: "cancelled" (async) or "stopped". An ended one stays as it is."""
        raise NotImplementedError

    async def retry(self, job: str) -> Job:
        """Queue an ended job's units that have no result again, with fresh attempts. A job all of
        whose units are done, or that is open, stays as it is."""
        raise NotImplementedError

    async def redrive(self, api: str, *, job: str | None = None, limit: int = 1000) -> int:
        """Queue dead letters of an API (or of one job) again, with fresh attempts; how many."""
        raise NotImplementedError

    async def lease(self, api: str, n: int, *, worker: str, lease_s: float = 30.0) -> list[Lease]:
        """Take up to `n` units to work on, oldest first; each counts as an attempt."""
        raise NotImplementedError

    async def renew(self, leases: Sequence[Lease], lease_s: float = 30.0) -> list[Lease]:
        """Prolong; answers those that are LOST (taken by another, or their job has ended): stop
        working on them."""
        raise NotImplementedError

    async def commit(self, lease: Lease, result: Content = Content()) -> bool:  # noqa: B008
        """The unit is done, with this result. False: refused, the lease was no longer valid."""
        raise NotImplementedError

    async def fail(
        self,
        lease: Lease,
        error: str,
        *,
        retry: bool = True,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> str:
        """The attempt failed; answers the unit's state now: "queued" (with back-off), "dead"
        (attempts used up), "failed" (`retry=False`), or "refused" (stale lease). `code`: the
        job's status should this be its end ("worker_oom", "timed_out"); its kind's word if None.
        """
        raise NotImplementedError

    async def release(self, lease: Lease) -> bool:
        """Give back a unit that was not worked on (shutting down): the attempt is not counted."""
        raise NotImplementedError

    async def set_progress(self, lease: Lease, progress: Any) -> bool:
        """What the job says of its own progress (JSON-able)."""
        raise NotImplementedError

    async def wait(self, api: str, timeout_s: float) -> bool:
        """Until there may be new work for `api` (True) or the time is over (False). A hint."""
        raise NotImplementedError

    async def job(self, id: str) -> Job | None:
        """One job."""
        raise NotImplementedError

    async def find(self, api: str, idempotency_key: str) -> Job | None:
        """The job accepted under this key."""
        raise NotImplementedError

    async def jobs(
        self,
        api: str | None = None,
        *,
        status: Sequence[str] = (),
        kind: str | None = None,
        open: bool | None = None,
        since: float | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Job]:
        """Newest first."""
        raise NotImplementedError

    async def units(
        self,
        job: str,
        *,
        state: Sequence[str] = (),
        cursor: str | None = None,
        limit: int = 100,
        payloads: bool = True,
    ) -> Page[Unit]:
        """In order of index. `payloads=False` leaves payload and result bytes in the database."""
        raise NotImplementedError

    async def unit(self, job: str, index: int = 0) -> Unit | None:
        """One unit with its payload and result."""
        raise NotImplementedError

    async def dead_letters(
        self, api: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Unit]:
        """Units whose attempts are used up, oldest first."""
        raise NotImplementedError

    async def counts(self, api: str) -> dict[str, int]:
        """For metrics: {"queued", "leased", "dead", "open_jobs"} now."""
        raise NotImplementedError

    async def sweep(self) -> Swept:
        """What time does: returns leases that ran out, times out jobs, gives up abandoned
        filling, corrects for a clock that was set back. Call each second or so."""
        raise NotImplementedError

    async def expired(self, limit: int = 100) -> list[Job]:
        """Jobs whose time to live is over: remove their files, then `remove` them."""
        raise NotImplementedError

    async def remove(self, job: str) -> bool:
        """Forget an ended job, its units and events."""
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what was begun, and close the database."""
        raise NotImplementedError
