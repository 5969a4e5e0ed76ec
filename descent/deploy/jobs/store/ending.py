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

__all__ = ["end", "finish", "locked", "settle"]


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
    if not job.open and delta.running > 0:
        raise RunAgain  # another process ended the job after its units were leased here
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
    """End an open job whatever its units do; an ended one stays as it is."""
    for state in (
        "queued",
        "leased",
    ):  # `job || ''`: through the index of these few, not of the job
        tx.run(
            "UPDATE unit SET state = 'cancelled', lease_until = NULL, since = ? "
            f"WHERE state = '{state}' AND api = (SELECT api FROM job WHERE id = ?) "
            "AND job || '' = ?",
            now, id, id,
        )  # fmt: skip
    job = locked(tx, id)
    if not job.open:
        return job
    _close(tx, job, status, reason, now)
    return locked(tx, id)


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
        "UPDATE job SET status = ?, reason = ?, ended = ?, expires = ?, running = 0 WHERE id = ?",
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
