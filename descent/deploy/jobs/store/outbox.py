"""The outbox: what is to be told when a job ends, written in the transaction that ends it.

So a webhook is neither forgotten nor invented by a crash. An event is claimed like a unit: a lease,
a fence that rises, attempts with exponential back-off, dead letters. It is delivered at least once
and done exactly once; its id is the same each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from descent.deploy.jobs.store.database import Database
from descent.deploy.jobs.store.identity import new_ticket
from descent.deploy.jobs.store.records import Event, Page
from descent.deploy.jobs.store.rows import clean
from descent.deploy.jobs.store.transactions import Tx, marks

__all__ = ["ATTEMPTS", "Outbox", "lapse_events"]

ATTEMPTS = 10
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 3600.0
EVENT = "id, name, job, api, payload, state, attempts, fence, created, not_before, error"
RETURNED = ", ".join(f"event.{name}" for name in EVENT.split(", "))
HELD = "WHERE id = ? AND fence = ? AND state = 'leased'"


class Outbox:
    """Events of ended jobs, over a database."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self.database, self.now = database, now

    async def claim(
        self, names: Sequence[str], n: int, *, worker: str, lease_s: float = 30.0,
        api: str | None = None,
    ) -> list[Event]:  # fmt: skip
        """Take up to `n` events of these names (of one API) to deliver."""
        ticket, now = new_ticket(), self.now()
        return await self.database.write(
            lambda tx: _claim(tx, names, n, worker, lease_s, api, ticket, now), durable=False
        )

    async def done(self, event: Event) -> bool:
        """It was delivered, be it after the claim had run out; False when another has it."""
        now = self.now()
        return await self.database.write(lambda tx: _done(tx, event, now))

    async def fail(
        self, event: Event, error: str, *, retry: bool = True, retry_after_s: float | None = None
    ) -> str:
        """It was not delivered; its state now: "queued", "dead" or "refused" (a stale claim)."""
        now = self.now()
        return await self.database.write(
            lambda tx: _fail(tx, event, error, retry, retry_after_s, now)
        )

    async def again(self, id: str) -> bool:
        """Queue a dead (or done) event again, with fresh attempts."""
        now = self.now()
        return await self.database.write(lambda tx: _again(tx, id, now))

    async def list(
        self, *, job: str | None = None, api: str | None = None, state: Sequence[str] = (),
        cursor: str | None = None, limit: int = 100,
    ) -> Page[Event]:  # fmt: skip
        """In order of their ids, that is of their jobs."""
        return await self.database.read(lambda tx: _list(tx, job, api, state, cursor, limit))


def lapse_events(tx: Tx, now: float, worker: str | None = None) -> None:
    """Claims that have run out (or all of a worker's that is gone): queued again, or dead."""
    which, parameters = "lease_until <= ?", [now]
    if worker is not None:
        which, parameters = "substr(worker, 1, ?) = ?", [len(worker), worker]
    tx.run(
        "UPDATE event SET state = CASE WHEN attempts >= ? THEN 'dead' ELSE 'queued' END, "
        "lease_until = NULL, not_before = ?, since = ?, error = 'its deliverer went away' "
        f"WHERE state = 'leased' AND {which}",
        ATTEMPTS, now, now, *parameters,
    )  # fmt: skip


def _claim(
    tx: Tx, names: Sequence[str], n: int, worker: str, lease_s: float, api: str | None,
    ticket: str, now: float,
) -> list[Event]:  # fmt: skip
    if tx.again:
        rows = tx.rows(f"SELECT {EVENT} FROM event WHERE ticket = ? AND state = 'leased'", ticket)
        if rows:
            return sorted((_event(row) for row in rows), key=lambda event: event.id)
    lapse_events(tx, now)
    of = "" if api is None else " AND api = ?"
    rows = tx.rows(
        f"WITH picked AS MATERIALIZED (SELECT id FROM event WHERE name IN ({marks(names)}){of} "
        "AND state = 'queued' AND not_before <= ? ORDER BY not_before, id LIMIT ?"
        f"{tx.session.skip_locked}) "
        "UPDATE event SET state = 'leased', attempts = attempts + 1, fence = fence + 1, "
        "lease_until = ?, since = ?, worker = ?, ticket = ? FROM picked "
        f"WHERE event.id = picked.id RETURNING {RETURNED}",
        *names, *([] if api is None else [api]), now, n, now + lease_s, now, worker, ticket,
    )  # fmt: skip
    return sorted((_event(row) for row in rows), key=lambda event: event.id)


def _done(tx: Tx, event: Event, now: float) -> bool:
    changed = tx.run(
        "UPDATE event SET state = 'done', lease_until = NULL, since = ?, error = NULL "
        "WHERE id = ? AND fence = ?",
        now, event.id, event.fence,
    )  # fmt: skip
    return bool(changed)


def _fail(tx: Tx, event: Event, error: str, retry: bool, after_s: float | None, now: float) -> str:
    state = "queued" if retry and event.attempt < ATTEMPTS else "dead"
    if after_s is None:
        after_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (event.attempt - 1))
    changed = tx.run(
        "UPDATE event SET state = ?, lease_until = NULL, not_before = ?, since = ?, error = ? "
        f"{HELD}",
        state, now + after_s, now, clean(error), event.id, event.fence,
    )  # fmt: skip
    if changed:
        return state
    known = _state(tx, event)
    return known if known in ("queued", "dead") else "refused"


def _again(tx: Tx, id: str, now: float) -> bool:
    row = tx.row(
        "UPDATE event SET state = 'queued', attempts = 0, not_before = ?, since = ? "
        "WHERE id = ? AND state IN ('dead', 'done') RETURNING api",
        now, now, id,
    )  # fmt: skip
    if row is not None:
        tx.woken.add(row[0])
    return row is not None


def _state(tx: Tx, event: Event) -> str | None:
    row = tx.row("SELECT state FROM event WHERE id = ? AND fence = ?", event.id, event.fence)
    return row[0] if row else None


def _list(
    tx: Tx, job: str | None, api: str | None, state: Sequence[str], cursor: str | None, limit: int
) -> Page[Event]:
    where: list[str] = []
    parameters: list[str] = []
    for clause, value in (("job = ?", job), ("api = ?", api), ("id > ?", cursor)):
        if value is not None:
            where.append(clause)
            parameters.append(value)
    if state:
        where.append(f"state IN ({marks(state)})")
        parameters.extend(state)
    rows = tx.rows(
        f"SELECT {EVENT} FROM event WHERE {' AND '.join(where) or '1 = 1'} ORDER BY id LIMIT ?",
        *parameters, limit + 1,
    )  # fmt: skip
    events = [_event(row) for row in rows[:limit]]
    return Page(events, events[-1].id if len(rows) > limit else None)


def _event(row: tuple) -> Event:
    id, name, job, api, payload, state, attempt, fence, created, not_before, error = row
    return Event(
        id, name, job, api, json.loads(payload), state, attempt, ATTEMPTS, fence, created,
        not_before, error,
    )  # fmt: skip
