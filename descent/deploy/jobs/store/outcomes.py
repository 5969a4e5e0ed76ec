"""What became of a lease: a result, a failure, given back, or nothing new (a stale fence)."""

from __future__ import annotations

import json
from typing import Any

from descent.deploy.jobs.store.ending import aside
from descent.deploy.jobs.store.records import Content, Lease
from descent.deploy.jobs.store.rows import clean, columns_of
from descent.deploy.jobs.store.transactions import Tx

__all__ = ["LONGEST_BACKOFF_S", "commit", "fail", "release", "set_progress"]

LONGEST_BACKOFF_S = 3600.0
HELD = "WHERE job = ? AND idx = ? AND fence = ? AND state = 'leased'"


def commit(tx: Tx, lease: Lease, result: Content, now: float) -> bool:
    """The unit is done; False when the lease is stale. The same commit again is True."""
    _look(tx, lease, now)
    row = tx.row(
        "UPDATE unit SET state = 'done', lease_until = NULL, since = ?, error = NULL, code = NULL, "
        f"result_data = ?, result_ref = ?, result_meta = ? {HELD} RETURNING begun",
        now, *columns_of(result), *_held(lease),
    )  # fmt: skip
    if row is None:
        return _state(tx, lease) == "done"
    delta = tx.delta(lease.job, now)
    delta.running -= 1
    delta.done += 1
    delta.busy_s += max(0.0, now - row[0])
    return True


def fail(
    tx: Tx, lease: Lease, error: str, retry: bool, code: str | None, after_s: float | None,
    now: float,
) -> str:  # fmt: skip
    """The attempt failed; the unit's state now, or "refused" for a stale lease."""
    _look(tx, lease, now)
    row = tx.row("SELECT attempts, backoff_s FROM job WHERE id = ?", lease.job)
    if row is None:
        return "refused"
    most, backoff_s = row
    state = "failed" if not retry else "dead" if lease.attempt >= most else "queued"
    if after_s is None:
        after_s = min(LONGEST_BACKOFF_S, backoff_s * 2.0 ** min(60, lease.attempt - 1))
    changed = tx.run(
        "UPDATE unit SET state = ?, lease_until = NULL, not_before = ?, since = ?, error = ?, "
        f"code = ? {HELD}",
        state, now + max(0.0, after_s), now, clean(error), code, *_held(lease),
    )  # fmt: skip
    if not changed:
        known = _state(tx, lease)  # said before, or the lease ran out and nobody took it since
        return known if known in ("queued", "dead", "failed") else "refused"
    delta = tx.delta(lease.job, now)
    delta.running -= 1
    delta.failed += state != "queued"
    delta.retried += state == "queued"
    return state


def release(tx: Tx, lease: Lease, now: float) -> bool:
    """Back to the queue, as if it had not been leased (but for its fence)."""
    _look(tx, lease, now)
    row = tx.row(
        "UPDATE unit SET state = 'queued', lease_until = NULL, since = ?, not_before = ?, "
        f"attempts = attempts - 1 {HELD} RETURNING api",
        now, now, *_held(lease),
    )  # fmt: skip
    if row is None:
        return _state(tx, lease) == "queued"
    tx.delta(lease.job, now).running -= 1
    tx.woken.add(row[0])
    return True


def set_progress(tx: Tx, lease: Lease, progress: Any) -> bool:
    """What the job says of its progress, while the lease holds."""
    if _state(tx, lease) != "leased":
        return False
    text = json.dumps(progress)
    return bool(tx.run("UPDATE job SET progress = ? WHERE id = ?", text, lease.job))


def _look(tx: Tx, lease: Lease, now: float) -> None:
    if tx.wary:
        aside(tx, lease.job, lease.index, now)


def _held(lease: Lease) -> tuple[str, int, int]:
    return lease.job, lease.index, lease.fence


def _state(tx: Tx, lease: Lease) -> str | None:
    """The unit's state, if this lease was its latest."""
    row = tx.row("SELECT state FROM unit WHERE job = ? AND idx = ? AND fence = ?", *_held(lease))
    return row[0] if row else None
