"""What time does: leases run out, jobs time out, filling is given up, clocks are set back."""

from __future__ import annotations

from collections.abc import Sequence

from descent.deploy.jobs.store.ending import aside, end
from descent.deploy.jobs.store.leasing import lapse
from descent.deploy.jobs.store.outbox import lapse_events
from descent.deploy.jobs.store.records import Swept
from descent.deploy.jobs.store.transactions import Tx
from descent.deploy.jobs.store.words import words

__all__ = ["ABANDON_S", "sweep"]

ABANDON_S = 60.0  # a job filled by nobody for so long is given up
TOLERANCE_S = 5.0  # clocks of several machines may differ by so much
REMEMBER_S = 60.0  # how often the time is written down
AT_ONCE = 100


def sweep(tx: Tx, now: float, latest: float) -> Swept:
    """One round. `latest`: the latest time this process has seen."""
    _correct(tx, now, latest)
    returned, dead = lapse(tx, now)
    lapse_events(tx, now)
    _tidy(tx, now)
    overdue = tx.rows(
        "SELECT id, kind, timeout_s FROM job WHERE ended IS NULL AND deadline <= ? "
        f"ORDER BY deadline LIMIT {AT_ONCE}",
        now,
    )
    for id, kind, timeout_s in overdue:
        end(tx, id, words(kind).timed_out, f"not finished within {timeout_s:g} s", now)
    abandoned = tx.rows(
        "SELECT id, total FROM job WHERE ended IS NULL AND filling = 1 AND touched <= ? "
        f"ORDER BY touched LIMIT {AT_ONCE}",
        now - ABANDON_S,
    )
    for id, total in abandoned:
        reason = f"whoever submitted it went away after {total} units; nothing of it was run"
        end(tx, id, "enqueue_failed", reason, now)
    return Swept(returned, dead, len(overdue), len(abandoned))


def _tidy(tx: Tx, now: float) -> None:
    """Put aside leased units of ended jobs: a process died between the two."""
    left = tx.rows(
        "SELECT unit.job, unit.idx FROM unit CROSS JOIN job WHERE unit.state = 'leased' "
        f"AND job.id = unit.job AND job.ended IS NOT NULL LIMIT {AT_ONCE}"
    )
    for id, index in left:
        aside(tx, id, index, now)


def _correct(tx: Tx, now: float, latest: float) -> None:
    """After the clock was set back, what was written in what is now the future would wait for it
    to come again: durations are kept and counted from now."""
    row = tx.row("SELECT value FROM setting WHERE name = 'clock'")
    written = float(row[0]) if row else 0.0
    if now < max(written, latest) - TOLERANCE_S:
        for sql in CORRECTIONS:
            tx.run(sql, *[now] * sql.count("?"))
    elif now < written + REMEMBER_S:
        return
    tx.run(
        "INSERT INTO setting (name, value) VALUES ('clock', ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        repr(float(now)),
    )


CORRECTIONS: Sequence[str] = (
    "UPDATE unit SET lease_until = ? + lease_until - since, begun = ?, since = ? "
    "WHERE state = 'leased' AND since > ?",
    "UPDATE unit SET not_before = ? + CASE WHEN not_before > since THEN not_before - since "
    "ELSE 0 END, since = ? WHERE state = 'queued' AND since > ?",
    "UPDATE job SET deadline = ? + timeout_s, started = ? WHERE ended IS NULL AND started > ?",
    "UPDATE job SET touched = ? WHERE ended IS NULL AND touched > ?",
    "UPDATE event SET lease_until = ? + lease_until - since, since = ? "
    "WHERE state = 'leased' AND since > ?",
    "UPDATE event SET not_before = ? + CASE WHEN not_before > since THEN not_before - since "
    "ELSE 0 END, since = ? WHERE state = 'queued' AND since > ?",
)
