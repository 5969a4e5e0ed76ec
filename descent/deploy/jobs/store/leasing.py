"""Who works on what: leases that run out by themselves.

A lease counts as an attempt and raises the unit's fence when it is given, not when it ends: a unit
that kills its worker has still used an attempt, and a worker thought dead cannot commit what was
given to another. Reference: Gray and Cheriton 1989, "Leases"; fences as in Kleppmann 2016.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from descent.deploy.jobs.store.ending import aside
from descent.deploy.jobs.store.records import Lease
from descent.deploy.jobs.store.rows import content_of
from descent.deploy.jobs.store.submitting import feed
from descent.deploy.jobs.store.transactions import Tx, marks
from descent.deploy.jobs.store.words import words

__all__ = ["lapse", "renew", "take"]

LEASED = "job, idx, fence, attempts, lease_until, data, ref, meta, items"
RETURNED = ", ".join(f"unit.{name}" for name in LEASED.split(", "))
LAPSED_AT_ONCE = 1000
JOB_OF_LEASE = (
    "SELECT api, version, attempts, config, deadline, started, ended, kind, timeout_s "
    "FROM job WHERE id = ?"
)


def take(
    tx: Tx, api: str, n: int, worker: str, lease_s: float, ticket: str, now: float,
    job: str | None = None,
) -> list[Lease]:  # fmt: skip
    """Lease up to `n` units (of one job), the oldest first."""
    if tx.again:
        rows = tx.rows(
            f"SELECT {LEASED} FROM unit WHERE api = ? AND state = 'leased' AND ticket = ? "
            "ORDER BY job, idx",
            api, ticket,
        )  # fmt: skip
        if rows:
            return _leases(tx, rows, now, counted=True)
    if api not in tx.lapsed:
        lapse(tx, now, api=api)
        tx.lapsed.add(api)
    leases: list[Lease] = []
    while (missing := n - len(leases)) > 0:
        rows = _pick(tx, api, missing, worker, lease_s, ticket, now, job)
        leases += _leases(tx, rows, now)
        if len(rows) < missing and not feed(tx, api, now, job):
            break
    return leases


def renew(tx: Tx, leases: Sequence[Lease], lease_s: float, now: float) -> list[Lease]:
    """Prolong; those that are lost."""
    return [
        lease
        for lease in leases
        if not tx.run(
            "UPDATE unit SET lease_until = ?, since = ? "
            "WHERE job = ? AND idx = ? AND fence = ? AND state = 'leased'",
            now + lease_s, now, lease.job, lease.index, lease.fence,
        )
    ]  # fmt: skip


def lapse(
    tx: Tx, now: float, *, api: str | None = None, worker: str | None = None
) -> tuple[int, int]:
    """Take back leases that have run out (or all of a worker's, whose process is known to be
    gone): how many units wait again, how many are dead."""
    where, parameters = "lease_until <= ?", [now]
    if worker is not None:
        where, parameters = "substr(worker, 1, ?) = ?", [len(worker), worker]
    if api is not None:
        where, parameters = f"api = ? AND {where}", [api, *parameters]
    rows = tx.rows(
        "SELECT unit.job, unit.idx, unit.attempts, unit.api FROM unit "
        f"WHERE state = 'leased' AND {where} ORDER BY lease_until LIMIT {LAPSED_AT_ONCE}"
        f"{tx.session.skip_locked}",
        *parameters,
    )
    if not rows:
        return 0, 0
    ids = sorted({row[0] for row in rows})
    most = dict(tx.rows(f"SELECT id, attempts FROM job WHERE id IN ({marks(ids)})", *ids))
    back = dead = 0
    for job, index, attempts, of in rows:
        if tx.wary and aside(tx, job, index, now):
            continue
        over = attempts >= most.get(job, 0)
        dead += over
        back += not over
        tx.run(
            "UPDATE unit SET state = ?, lease_until = NULL, not_before = ?, since = ?, error = ? "
            "WHERE job = ? AND idx = ?",
            "dead" if over else "queued", now, now,
            f"attempt {attempts}: its worker went away or did not renew its lease", job, index,
        )  # fmt: skip
        delta = tx.delta(job, now)
        delta.running -= 1
        delta.failed += over
        delta.retried += not over
        tx.woken.add(of)
    return back, dead


def _pick(
    tx: Tx, api: str, n: int, worker: str, lease_s: float, ticket: str, now: float,
    job: str | None,
) -> list[tuple]:  # fmt: skip
    of = "" if job is None else "AND job = ? "
    rows = tx.rows(
        "WITH picked AS MATERIALIZED (SELECT job, idx FROM unit WHERE api = ? "
        f"AND state = 'queued' AND not_before <= ? {of}ORDER BY not_before, job, idx LIMIT ?"
        f"{tx.session.skip_locked}) "
        "UPDATE unit SET state = 'leased', attempts = attempts + 1, fence = fence + 1, "
        "lease_until = ?, begun = ?, since = ?, worker = ?, ticket = ? "
        "FROM picked WHERE unit.job = picked.job AND unit.idx = picked.idx "
        f"RETURNING {RETURNED}",
        api, now, *([] if job is None else [job]), n, now + lease_s, now, now, worker, ticket,
    )  # fmt: skip
    return sorted(rows, key=lambda row: row[:2])


def _leases(tx: Tx, rows: list[tuple], now: float, *, counted: bool = False) -> list[Lease]:
    """The records, with what they need of their jobs; units of ended jobs are put aside."""
    jobs: dict[str, tuple[Any, ...] | None] = {}
    leases = []
    for job, index, fence, attempt, until, data, ref, meta, items in rows:
        if job not in jobs:
            jobs[job] = _begun(tx, job, now)
        about = jobs[job]
        if about is None:
            aside(tx, job, index, now, counted=counted)
            continue
        api, version, attempts, config, deadline = about
        content = content_of(data, ref, meta)
        leases.append(
            Lease(job, index, fence, api, version, attempt, attempts, until, content, items,
                  config, deadline)
        )  # fmt: skip
        if not counted:
            tx.delta(job, now).running += 1
    return leases


def _begun(tx: Tx, id: str, now: float) -> tuple[Any, ...] | None:
    """What a lease says of its job, which has started now if it had not; None if it has ended."""
    row = tx.row(JOB_OF_LEASE, id)
    if row is not None and row[6] is not None:  # certain only when it is held
        row = tx.row(f"{JOB_OF_LEASE}{tx.session.lock}", id)
    if row is None or row[6] is not None:
        return None
    api, version, attempts, config, deadline, started, _, kind, timeout_s = row
    if started is None:
        deadline = None if timeout_s is None else now + timeout_s
        tx.run(
            "UPDATE job SET started = ?, status = ?, deadline = ? WHERE id = ? AND ended IS NULL",
            now, words(kind).working, deadline, id,
        )  # fmt: skip
    return api, version, attempts, json.loads(config), deadline
