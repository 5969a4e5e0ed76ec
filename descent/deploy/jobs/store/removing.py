"""Forgetting a job: its units in chunks, so that a million of them do not hold the others up."""

from __future__ import annotations

from descent.deploy.jobs.store.transactions import Tx

__all__ = ["remove"]

AT_ONCE = 5000


def remove(tx: Tx, id: str) -> str:
    """ "more" while units are left, "removed" at the end; "" for no job, or an open one.

    From the first chunk on the job counts as not whole: nobody can open again what is left of it.
    """
    if not tx.run("UPDATE job SET filling = 1 WHERE id = ? AND ended IS NOT NULL", id):
        gone = tx.again and tx.row("SELECT 1 FROM job WHERE id = ?", id) is None
        return "removed" if gone else ""
    tx.run(
        "DELETE FROM unit WHERE job = ? AND idx IN "
        f"(SELECT idx FROM unit WHERE job = ? ORDER BY idx LIMIT {AT_ONCE})",
        id, id,
    )  # fmt: skip
    if tx.row("SELECT 1 FROM unit WHERE job = ? LIMIT 1", id) is not None:
        return "more"
    tx.run("DELETE FROM event WHERE job = ?", id)
    tx.run("DELETE FROM job WHERE id = ?", id)
    return "removed"
