"""The store: jobs and units of work, each change of state one transaction.

    job:   enqueuing → running → ended (its kind's words)
    unit:  held → queued → leased → done, or queued again, or failed | dead | cancelled

An attempt is counted before its work begins, so a unit that kills its worker ends among the dead
letters. A result is committed under the lease's fence (a number that rises with each lease): the
commit of an older lease is refused, so each unit has exactly one result. Every method may be called
again after an unclear answer (`StoreUnavailable`): a change already made is recognised.
Left out: priorities; moving a store between databases.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from descent.deploy.jobs.store import (
    ending,
    leasing,
    listing,
    outcomes,
    removing,
    submitting,
    sweeping,
)
from descent.deploy.jobs.store.database import Database
from descent.deploy.jobs.store.errors import Gone
from descent.deploy.jobs.store.identity import new_id, new_ticket
from descent.deploy.jobs.store.keys import Keys
from descent.deploy.jobs.store.outbox import Outbox, lapse_events
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
from descent.deploy.jobs.store.schedules import Schedules
from descent.deploy.jobs.store.settings import Settings
from descent.deploy.jobs.store.transactions import Tx
from descent.deploy.jobs.store.versions import Versions
from descent.deploy.jobs.store.words import words

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """Jobs over a database. `now` gives unix seconds (tests pass a simulated clock).

    Also: `events` (the outbox), `schedules`, `versions`, `keys`, `settings`.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self.database, self.now = database, now
        self.events = Outbox(database, now)
        self.schedules = Schedules(database)
        self.versions = Versions(database, now)
        self.keys = Keys(database, now)
        self.settings = Settings(database)
        self._latest = now()
        self._giving_back: set[asyncio.Task[bool]] = set()
        self._bells: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        database.on_wake.append(self._ring)

    async def submit(
        self, job: NewJob, units: Sequence[NewUnit] = (), *, complete: bool = True
    ) -> Submitted:
        """Accept a job; when this returns it survives a power cut.

        `complete=False`: more units will come (`add_units`, then `start_job`); until then the job
        is "enqueuing" and none of its work begins. A job without units ends at once, successfully.
        Raises `Conflict`, `StoreFull`.
        """
        id, now = job.id or new_id(self.now()), self.now()
        return await self._write(submitting.submit, job, id, units, complete, now)

    async def add_units(self, job: str, units: Sequence[NewUnit], *, start: int) -> int:
        """Add units numbered from `start` to a job that is being filled; the number there are now.

        Numbers already there are passed over, so a chunk can be sent again. A gap is a ValueError.
        A job that is filled by nobody for `abandon_s` (60 s) becomes enqueue_failed by `sweep`.
        """
        return await self._write(submitting.add, job, units, start, self.now())

    async def start_job(self, job: str) -> Job:
        """All units are there: the job runs. Raises `Gone`."""
        return await self._write(submitting.start, job, self.now())

    async def end_job(self, job: str, status: str, reason: str) -> Job:
        """End an open job with this status: "stopped", "enqueue_failed", "worker_oom" …; what was
        not begun never will be, what is under way is refused at its commit."""
        return await self._write(ending.end, job, status, reason, self.now())

    async def cancel(self, job: str, reason: str = "cancelled by the user") -> Job:
        """End an open job: "cancelled" (async) or "stopped". An ended one stays as it is."""
        return await self._write(_cancel, job, reason, self.now())

    async def retry(self, job: str) -> Job:
        """Queue an ended job's units that have no result again, with fresh attempts. A job all of
        whose units are done, or that is open, stays as it is."""
        return await self._write(_retry, job, self.now())

    async def redrive(self, api: str, *, job: str | None = None, limit: int = 1000) -> int:
        """Queue dead letters of an API (or of one job) again, with fresh attempts; how many."""
        return await self._write(_redrive, api, job, limit, self.now())

    async def lease(
        self, api: str, n: int, *, worker: str, lease_s: float = 30.0, job: str | None = None
    ) -> list[Lease]:
        """Take up to `n` units to work on, oldest first; each counts as an attempt. `job`: of this
        job alone (a batch has workers of its own)."""
        rung = self._bell(api)
        rung.clear()
        now, ticket = self.now(), new_ticket()
        leases = await self.database.write(
            lambda tx: leasing.take(tx, api, n, worker, lease_s, ticket, now, job),
            durable=False,
            unclaimed=self._give_back,
        )
        if len(leases) >= n:
            rung.set()  # there may be more
        return leases

    async def renew(self, leases: Sequence[Lease], lease_s: float = 30.0) -> list[Lease]:
        """Prolong; answers those that are LOST (taken by another, or their job has ended): stop
        working on them."""
        return await self._write(leasing.renew, leases, lease_s, self.now(), durable=False)

    async def commit(self, lease: Lease, result: Content = Content()) -> bool:  # noqa: B008
        """The unit is done, with this result. False: refused, the lease was no longer valid."""
        return await self._write(outcomes.commit, lease, result, self.now())

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
        return await self._write(
            outcomes.fail, lease, error, retry, code, retry_after_s, self.now()
        )

    async def release(self, lease: Lease) -> bool:
        """Give back a unit that was not worked on (shutting down): the attempt is not counted."""
        return await self._write(outcomes.release, lease, self.now())

    async def recover(self, worker: str) -> tuple[int, int]:
        """Take back at once every lease (of units, of events) of workers whose names begin so,
        because their process is known to be gone (a node that starts again): units that wait
        again, units that are dead."""
        returned = dead = 0
        while True:
            back, lost = await self._write(_recover, worker, self.now())
            returned, dead = returned + back, dead + lost
            if not back + lost:
                return returned, dead

    async def set_progress(self, lease: Lease, progress: Any) -> bool:
        """What the job says of its own progress (JSON-able)."""
        return await self._write(outcomes.set_progress, lease, progress, durable=False)

    async def wait(self, api: str, timeout_s: float) -> bool:
        """Until there may be new work for `api` (True) or the time is over (False). A hint."""
        try:
            await asyncio.wait_for(self._bell(api).wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def job(self, id: str) -> Job | None:
        """One job."""
        return await self._read(listing.job, id)

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
        return await self._read(listing.jobs, api, status, kind, open, since, cursor, limit)

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
        return await self._read(listing.units, job, state, cursor, limit, payloads)

    async def unit(self, job: str, index: int = 0) -> Unit | None:
        """One unit with its payload and result."""
        return await self._read(listing.unit, job, index)

    async def dead_letters(
        self, api: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Unit]:
        """Units whose attempts are used up, oldest first."""
        return await self._read(listing.dead_letters, api, cursor, limit)

    async def counts(self, api: str) -> dict[str, int]:
        """For metrics: {"queued", "leased", "dead", "open_jobs"} now."""
        return await self._read(listing.counts, api)

    async def sweep(self) -> Swept:
        """What time does: returns leases that ran out, times out jobs, gives up abandoned
        filling, corrects for a clock that was set back. Call each second or so."""
        now = self.now()
        swept = await self._write(sweeping.sweep, now, self._latest, durable=False)
        self._latest = now
        return swept

    async def expired(self, limit: int = 100) -> list[Job]:
        """Jobs whose time to live is over: remove their files, then `remove` them."""
        return await self._read(listing.expired, self.now(), limit)

    async def remove(self, job: str) -> bool:
        """Forget an ended job, its units and events."""
        while (state := await self._write(removing.remove, job)) == "more":
            pass
        return state == "removed"

    async def close(self) -> None:
        """Finish what was begun, and close the database."""
        await asyncio.gather(*self._giving_back, return_exceptions=True)
        await self.database.close()

    async def _write(self, function: Callable[..., T], *arguments: Any, durable: bool = True) -> T:
        return await self.database.write(lambda tx: function(tx, *arguments), durable=durable)

    async def _read(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self.database.read(lambda tx: function(tx, *arguments))

    def _give_back(self, leases: list[Lease]) -> None:
        """Whoever asked for these was cancelled meanwhile: their attempts are not counted."""
        for lease in leases:
            task = asyncio.ensure_future(self.release(lease))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    def _bell(self, api: str) -> asyncio.Event:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # tests, scripts: one loop after the other
            self._loop, self._bells = loop, {}
        return self._bells.setdefault(api, asyncio.Event())

    def _ring(self, names: Iterable[str]) -> None:
        """Called in the writer's (or the listener's) thread."""
        loop = self._loop
        if loop is None:
            return
        rung = list(names)
        try:
            loop.call_soon_threadsafe(self._ring_here, rung)
        except RuntimeError:
            pass  # that loop has ended

    def _ring_here(self, names: Sequence[str]) -> None:
        for name in names:
            if name in self._bells:
                self._bells[name].set()


def _cancel(tx: Tx, id: str, reason: str, now: float) -> Job:
    row = tx.row("SELECT kind FROM job WHERE id = ?", id)
    if row is None:
        raise Gone(f"no job {id}")
    return ending.end(tx, id, words(row[0]).cancelled, reason, now)


def _retry(tx: Tx, id: str, now: float) -> Job:
    if not ending.locked(tx, id).open:
        submitting.requeue(tx, id, ("dead", "failed"), now)
    return ending.locked(tx, id)


def _redrive(tx: Tx, api: str, job: str | None, limit: int, now: float) -> int:
    ids = tx.rows(
        "SELECT DISTINCT job FROM unit WHERE api = ? AND state = 'dead' "
        f"{'' if job is None else 'AND job = ? '}ORDER BY job LIMIT ?",
        api, *([] if job is None else [job]), limit,
    )  # fmt: skip
    moved = 0
    for (id,) in ids:
        if moved < limit:
            moved += submitting.requeue(tx, id, ("dead",), now, limit - moved)
    return moved


def _recover(tx: Tx, worker: str, now: float) -> tuple[int, int]:
    lapse_events(tx, now, worker)
    return leasing.lapse(tx, now, worker=worker)
