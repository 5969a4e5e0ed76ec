"""How jobs end: when their last unit is over, or because someone (or time) says so.

Counters live in the job's row, so that progress is one row whatever the number of units. A
transaction adds its changes up (`Tx.deltas`) and writes each job once, in order of id, last of all.
"""

from __future__ import annotations

import json

from descent.deploy.jobs.store.errors import Gone
from descent.deploy.jobs.store.records import Job
from descent.deploy.jobs.store.rows import JOB, clean, job_of
from descent.deploy.jobs.store.transactions import RunAgain, Tx
from descent.deploy.jobs.store.words import words

__all__ = ["aside", "end", "finish", "locked", "settle"]


def finish(tx: Tx) -> None:
    """Write the counters of every job that was touched."""
    for id in sorted(tx.deltas):
        _count(tx, id)


def _count(tx: Tx, id: str) -> None:
    """Write a job's counters, and end it when its last unit is over."""
    delta = tx.deltas.pop(id, None)
    if delta is None:
        return
    row = tx.row(
        "UPDATE job SET running = running + ?, done = done + ?, failed = failed + ?, "
        "retried = retried + ?, busy_s = busy_s + ? WHERE id = ? "
        f"RETURNING filling, {JOB}",
        delta.running, delta.done, delta.failed, delta.retried, delta.busy_s, id,
    )  # fmt: skip
    if row is None:
        return  # removed meanwhile, with its units
    job = job_of(row[1:])
    if not job.open and (delta.running or delta.done or delta.failed):
        raise RunAgain  # another process ended the job after its units were changed here
    if job.open and not row[0] and job.done + job.failed >= job.total:
        settle(tx, job, tx.now)


def settle(tx: Tx, job: Job, now: float) -> None:
    """End a job all of whose units are over, with the status that its units give."""
    vocabulary = words(job.kind)
    if not job.failed:
        return _close(tx, job, vocabulary.good, "", now)
    error, code = tx.row(
        "SELECT error, code FROM unit WHERE job = ? AND state IN ('dead', 'failed') "
        "ORDER BY idx LIMIT 1",
        job.id,
    ) or ("", None)
    status = code if vocabulary.by_code and code else vocabulary.bad
    reason = error or ""
    if job.total > 1:
        reason = f"{job.failed} of {job.total} failed, the first with: {reason}"
    _close(tx, job, status, reason, now)


def end(tx: Tx, id: str, status: str, reason: str, now: float) -> Job:
    """End an open job whatever its units do; an ended one stays as it is.

    Units that another transaction holds are passed over: it will find the job ended (`RunAgain`)
    and put them aside itself. Waiting for it here, with the job held, would be a deadlock.
    """
    job = locked(tx, id)
    if not job.open:
        return job
    _cancel(tx, job, "queued", now)
    leased = _cancel(tx, job, "leased", now)
    tx.run("UPDATE job SET running = running - ? WHERE id = ?", leased, id)
    _close(tx, job, status, reason, now)
    return locked(tx, id)


def aside(tx: Tx, id: str, index: int, now: float, *, counted: bool = True) -> bool:
    """Cancel a unit if its job has ended; whether it has. `counted`: a lease of it stands in the
    job's counters."""
    row = tx.row(f"SELECT ended FROM job WHERE id = ?{tx.session.lock}", id)
    if row is None or row[0] is None:
        return False
    sql = (
        "UPDATE unit SET state = 'cancelled', lease_until = NULL, since = ? "
        "WHERE job = ? AND idx = ? AND state = "
    )
    tx.run(f"{sql}'queued'", now, id, index)
    if tx.run(f"{sql}'leased'", now, id, index) and counted:
        tx.run("UPDATE job SET running = running - 1 WHERE id = ?", id)
    return True


def _cancel(tx: Tx, job: Job, state: str, now: float) -> int:
    """Units of a job in this state that nobody else holds; how many."""
    rows = tx.rows(  # `job || ''`: through the index of these few, not through that of the job
        "WITH picked AS MATERIALIZED (SELECT job, idx FROM unit "
        f"WHERE state = '{state}' AND api = ? AND job || '' = ?{tx.session.skip_locked}) "
        "UPDATE unit SET state = 'cancelled', lease_until = NULL, since = ? FROM picked "
        "WHERE unit.job = picked.job AND unit.idx = picked.idx RETURNING unit.idx",
        job.api, job.id, now,
    )  # fmt: skip
    return len(rows)  # (sqlite3 counts no rows of a statement that begins with WITH)


def locked(tx: Tx, id: str) -> Job:
    """The job, its counters written, its row held until the transaction ends."""
    _count(tx, id)
    row = tx.row(f"SELECT {JOB} FROM job WHERE id = ?{tx.session.lock}", id)
    if row is None:
        raise Gone(f"no job {id}")
    return job_of(row)


def _close(tx: Tx, job: Job, status: str, reason: str, now: float) -> None:
    ended = max(now, job.created)
    tx.run(
        "UPDATE job SET status = ?, reason = ?, ended = ?, expires = ? WHERE id = ?",
        status, clean(reason), ended, ended + job.ttl_s, job.id,
    )  # fmt: skip
    payload = json.dumps({
        "job_id": job.id, "api_name": job.api, "kind": job.kind, "version": job.version,
        "status": status, "reason": clean(reason), "created": job.created, "ended": ended,
        "round": job.round,
    })  # fmt: skip
    for name in job.events:
        tx.run(
            "INSERT INTO event (id, name, job, api, payload, state, not_before, created, since) "
            "VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            f"{job.id}.{job.round}.{name}", name, job.id, job.api, payload, ended, ended, ended,
        )  # fmt: skip
    if job.events:
        tx.woken.add(job.api)
