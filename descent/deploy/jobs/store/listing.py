"""Reading: one job, pages of jobs and units, counts for metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from descent.deploy.jobs.store.errors import BadCursor
from descent.deploy.jobs.store.records import Job, Page, Unit
from descent.deploy.jobs.store.rows import JOB, UNIT, UNIT_BARE, job_of, unit_of
from descent.deploy.jobs.store.transactions import Tx, marks

__all__ = ["counts", "dead_letters", "expired", "job", "jobs", "unit", "units"]


def job(tx: Tx, id: str) -> Job | None:
    """One job."""
    row = tx.row(f"SELECT {JOB} FROM job WHERE id = ?", id)
    return job_of(row) if row else None


def jobs(
    tx: Tx, api: str | None, status: Sequence[str], kind: str | None, open: bool | None,
    since: float | None, cursor: str | None, limit: int,
) -> Page[Job]:  # fmt: skip
    """Newest first; the cursor is the last id."""
    where: list[str] = []
    parameters: list[Any] = []
    for clause, value in (
        ("api = ?", api), ("kind = ?", kind), ("created >= ?", since), ("id < ?", cursor),
    ):  # fmt: skip
        if value is not None:
            where.append(clause)
            parameters.append(value)
    if status:
        where.append(f"status IN ({marks(status)})")
        parameters.extend(status)
    if open is not None:
        where.append("ended IS NULL" if open else "ended IS NOT NULL")
    rows = tx.rows(
        f"SELECT {JOB} FROM job WHERE {' AND '.join(where) or '1 = 1'} ORDER BY id DESC LIMIT ?",
        *parameters, limit + 1,
    )  # fmt: skip
    found = [job_of(row) for row in rows[:limit]]
    return Page(found, found[-1].id if len(rows) > limit else None)


def unit(tx: Tx, job: str, index: int) -> Unit | None:
    """One unit."""
    row = tx.row(f"SELECT {UNIT} FROM unit WHERE job = ? AND idx = ?", job, index)
    return unit_of(row) if row else None


def units(
    tx: Tx, job: str, state: Sequence[str], cursor: str | None, limit: int, payloads: bool
) -> Page[Unit]:
    """In order of index; the cursor is the last index."""
    states = f" AND state IN ({marks(state)})" if state else ""
    rows = tx.rows(
        f"SELECT {UNIT if payloads else UNIT_BARE} FROM unit WHERE job = ? AND idx > ?{states} "
        "ORDER BY idx LIMIT ?",
        job, _number(cursor), *state, limit + 1,
    )  # fmt: skip
    found = [unit_of(row) for row in rows[:limit]]
    return Page(found, str(found[-1].index) if len(rows) > limit else None)


def dead_letters(tx: Tx, api: str, cursor: str | None, limit: int) -> Page[Unit]:
    """By job and index; the cursor is "job:index"."""
    job, _, index = (cursor or "").partition(":")
    rows = tx.rows(
        f"SELECT {UNIT} FROM unit WHERE api = ? AND state = 'dead' AND (job, idx) > (?, ?) "
        "ORDER BY job, idx LIMIT ?",
        api, job, _number(index), limit + 1,
    )  # fmt: skip
    found = [unit_of(row) for row in rows[:limit]]
    last = f"{found[-1].job}:{found[-1].index}" if len(rows) > limit else None
    return Page(found, last)


def counts(tx: Tx, api: str) -> dict[str, int]:
    """Of the open jobs of an API, and its dead letters."""
    row = tx.row(
        "SELECT coalesce(sum(total - running - done - failed), 0), coalesce(sum(running), 0), "
        "count(*) FROM job WHERE api = ? AND ended IS NULL",
        api,
    )
    dead = tx.row("SELECT count(*) FROM unit WHERE api = ? AND state = 'dead'", api)
    queued, leased, open_jobs = row or (0, 0, 0)
    return {
        "queued": int(queued), "leased": int(leased), "open_jobs": int(open_jobs),
        "dead": int(dead[0]) if dead else 0,
    }  # fmt: skip


def expired(tx: Tx, now: float, limit: int) -> list[Job]:
    """Those whose time to live is over, oldest end first."""
    rows = tx.rows(
        f"SELECT {JOB} FROM job WHERE expires IS NOT NULL AND expires <= ? ORDER BY expires "
        "LIMIT ?",
        now, limit,
    )  # fmt: skip
    return [job_of(row) for row in rows]


def _number(cursor: str | None) -> int:
    if not cursor:
        return -1
    if not cursor.isdecimal():
        raise BadCursor(f"{cursor!r} is not a cursor of this list")
    return int(cursor)
