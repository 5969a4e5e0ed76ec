"""Forgetting a job: its units in chunks, so that a million of them do not hold the others up."""

from __future__ import annotations

from descent.deploy.jobs.store.transactions import Tx

__all__ = ["remove"]

AT_ONCE = 5000


def remove(tx: Tx, id: str) -> str:
    """ "more" while units are left, "removed" at the end; "" for no job, or an open one."""
    row = tx.row("SELECT ended FROM job WHERE id = ?", id)
    if row is None:
        return "removed" if tx.again else ""
    if row[0] is None:
        return ""
    tx.run(
        "DELETE FROM unit WHERE job = ? AND idx IN "
        f"(SELECT idx FROM unit WHERE job = ? ORDER BY idx LIMIT {AT_ONCE})",
        id, id,
    )  # fmt: skip
    if tx.row("SELECT 1 FROM unit WHERE job = ? LIMIT 1", id) is not None:
        return "more"
    tx.run("DELETE FROM event WHERE job = ?", id)
    tx.run("DELETE FROM job WHERE id = ? AND ended IS NOT NULL", id)
    return "removed"
