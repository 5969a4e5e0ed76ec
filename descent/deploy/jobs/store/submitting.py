"""How jobs are accepted: whole in one transaction, or filled in chunks and then started.

A job that is being filled runs nothing, so a crash leaves one that can be filled on (the same
numbers again are passed over) or that is given up, never half a job that runs. Of a large job only
the next `AHEAD` units stand in the queue: starting, ending and cancelling cost the same for a
million units as for one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from descent.deploy.jobs.store.ending import locked, settle
from descent.deploy.jobs.store.errors import Conflict
from descent.deploy.jobs.store.records import Job, NewJob, NewUnit, Submitted
from descent.deploy.jobs.store.rows import JOB, columns_of, job_of
from descent.deploy.jobs.store.transactions import RunAgain, Tx, marks
from descent.deploy.jobs.store.words import words

__all__ = ["AHEAD", "add", "feed", "requeue", "start", "submit"]

AHEAD = 4096  # units of one job in the queue at a time
KEY_LENGTH = 255
QUEUED_AGAIN = (
    "UPDATE unit SET state = 'queued', attempts = 0, not_before = ?, since = ?, error = NULL, "
    "code = NULL"
)


def submit(
    tx: Tx, job: NewJob, id: str, units: Sequence[NewUnit], complete: bool, now: float
) -> Submitted:
    """Accept a job under this id; the one accepted before for a known key or id."""
    if job.idempotency_key is not None:
        _check_key(job.idempotency_key)
    vocabulary = words(job.kind)
    row = tx.row(
        "INSERT INTO job (id, api, kind, version, status, reason, config, created, touched, ttl_s, "
        "timeout_s, attempts, backoff_s, idempotency_key, fingerprint, events, filling, total, "
        "released) VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        f"ON CONFLICT DO NOTHING RETURNING {JOB}",
        id, job.api, job.kind, job.version, vocabulary.waiting if complete else vocabulary.filling,
        json.dumps(job.config), now, now, job.ttl_s, job.timeout_s, max(1, job.attempts),
        job.backoff_s, job.idempotency_key, job.fingerprint, json.dumps(job.events),
        int(not complete), len(units), min(AHEAD, len(units)) if complete else 0,
    )  # fmt: skip
    if row is None:
        known = _known(tx, job, id)
        return Submitted(known, tx.again and known.id == id)
    _insert(tx, id, job.api, units, 0, now, queued=AHEAD if complete else 0)
    tx.woken.add(job.api)
    if units or not complete:
        return Submitted(job_of(row), True)
    settle(tx, job_of(row), now)
    return Submitted(locked(tx, id), True)


def add(tx: Tx, id: str, units: Sequence[NewUnit], start: int, now: float) -> int:
    """Add a chunk to a job being filled; the number of units there are now."""
    job = locked(tx, id)
    if not job.open or not _filling(tx, id):
        raise ValueError(f"job {id} is {job.status}: no more units can be added")
    if start > job.total:
        raise ValueError(
            f"job {id} has {job.total} units; the next chunk starts there, not at {start}"
        )
    new = units[job.total - start :]
    _insert(tx, id, job.api, new, job.total, now, queued=0)
    total = job.total + len(new)
    tx.run("UPDATE job SET total = ?, touched = ? WHERE id = ?", total, now, id)
    return total


def start(tx: Tx, id: str, now: float) -> Job:
    """Let a filled job run."""
    job = locked(tx, id)
    if not job.open or not _filling(tx, id):
        return job
    tx.run(
        "UPDATE job SET filling = 0, status = ?, touched = ? WHERE id = ?",
        words(job.kind).waiting, now, id,
    )  # fmt: skip
    if job.total == 0:
        settle(tx, job, now)
    else:
        _release(tx, id, 0, job.total, min(job.created, now))
    tx.woken.add(job.api)
    return locked(tx, id)


def feed(tx: Tx, api: str, now: float, job: str | None = None) -> bool:
    """Put the next units of the oldest job that has some left (or of this one) into the queue."""
    of = "" if job is None else "AND id = ? "
    row = tx.row(
        "SELECT id, released, total, created FROM job WHERE api = ? AND ended IS NULL "
        f"AND filling = 0 AND released < total {of}ORDER BY id LIMIT 1{tx.session.lock}",
        api, *([] if job is None else [job]),
    )  # fmt: skip
    if row is None:
        return False
    id, released, total, created = row
    _release(tx, id, released, total, min(created, now))
    tx.woken.add(api)
    return True


def requeue(tx: Tx, id: str, states: Sequence[str], now: float, limit: int | None = None) -> int:
    """Queue units of a job in these states again with fresh attempts, opening the job if it had
    ended (then what was cancelled is queued too); how many of these states. A job that never was
    whole, or no longer is, stays as it is."""
    job = locked(tx, id)
    if _filling(tx, id):
        return 0
    rows = tx.rows(
        f"SELECT idx FROM unit WHERE job = ? AND state IN ({marks(states)}) ORDER BY idx LIMIT ?",
        id, *states, job.total if limit is None else limit,
    )  # fmt: skip
    if not rows and (job.open or job.done + job.failed == job.total):
        return 0
    tx.many(f"{QUEUED_AGAIN} WHERE job = ? AND idx = ?", [(now, now, id, row[0]) for row in rows])
    tx.run("UPDATE job SET failed = failed - ? WHERE id = ?", len(rows), id)
    if not job.open:
        tx.run(f"{QUEUED_AGAIN} WHERE job = ? AND state = 'cancelled'", now, now, id)
        tx.run(
            "UPDATE job SET status = ?, reason = '', started = NULL, ended = NULL, expires = NULL, "
            "deadline = NULL, round = round + 1 WHERE id = ?",
            words(job.kind).waiting, id,
        )  # fmt: skip
    tx.woken.add(job.api)
    return len(rows)


def _check_key(key: str) -> None:
    if len(key) > KEY_LENGTH or "\0" in key:
        raise ValueError(f"an idempotency key has at most {KEY_LENGTH} characters, no NUL")


def _known(tx: Tx, job: NewJob, id: str) -> Job:
    """The job that has this key or id already."""
    key = job.idempotency_key
    row = None
    if key is not None:
        row = tx.row(f"SELECT {JOB} FROM job WHERE api = ? AND idempotency_key = ?", job.api, key)
    row = row or tx.row(f"SELECT {JOB} FROM job WHERE id = ?", id)
    if not row:
        raise RunAgain  # removed in this moment
    known = job_of(row)
    if known.api != job.api or known.fingerprint != job.fingerprint:
        raise Conflict(key or id, known.id)
    return known


def _filling(tx: Tx, id: str) -> bool:
    row = tx.row("SELECT filling FROM job WHERE id = ?", id)
    return bool(row and row[0])


def _insert(
    tx: Tx, id: str, api: str, units: Sequence[NewUnit], start: int, now: float, *, queued: int
) -> None:
    sql = (
        "INSERT INTO unit (job, idx, api, state, items, not_before, since, data, ref, meta) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    rows = (
        (id, index, api, "queued" if index < queued else "held", unit.items, now, now, *data)
        for index, unit in enumerate(units, start)
        for data in (columns_of(unit.payload),)
    )
    if len(units) == 1:
        tx.run(sql, *next(rows))  # a request: PostgreSQL's executemany costs more
    else:
        tx.many(sql, rows)


def _release(tx: Tx, id: str, released: int, total: int, since: float) -> None:
    to = min(total, released + AHEAD)
    tx.run(
        "UPDATE unit SET state = 'queued', not_before = ? "
        "WHERE job = ? AND idx >= ? AND idx < ? AND state = 'held'",
        since, id, released, to,
    )  # fmt: skip
    tx.run("UPDATE job SET released = ? WHERE id = ?", to, id)
