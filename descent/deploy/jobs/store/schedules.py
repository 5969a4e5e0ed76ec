"""Tasks that run by the clock: each run is claimed and its job accepted in one transaction.

The rule (cron text) is the caller's to understand: the store keeps when the next run is due, and
two processes that see it due cannot both have it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from descent.deploy.jobs.store.database import Database
from descent.deploy.jobs.store.identity import new_id
from descent.deploy.jobs.store.records import NewJob, NewUnit, Submitted
from descent.deploy.jobs.store.submitting import submit
from descent.deploy.jobs.store.transactions import Tx

__all__ = ["Schedule", "Schedules"]

COLUMNS = "name, rule, config, next_run, last_run, last_job"


@dataclass(frozen=True, slots=True)
class Schedule:
    """`next_run` in unix seconds; None: paused."""

    name: str
    rule: str
    config: dict[str, Any]
    next_run: float | None
    last_run: float | None
    last_job: str | None


class Schedules:
    """Named schedules (an API's name) over a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def set(
        self, name: str, rule: str, next_run: float | None, config: dict[str, Any] | None = None
    ) -> None:
        """Make or change one. With the rule and config it has, nothing changes: a run that was
        missed while nothing ran is still due."""
        text = json.dumps(config or {}, sort_keys=True)
        await self.database.write(
            lambda tx: tx.run(
                "INSERT INTO schedule (name, rule, config, next_run) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET rule = excluded.rule, config = excluded.config, "
                "next_run = excluded.next_run "
                "WHERE schedule.rule <> excluded.rule OR schedule.config <> excluded.config",
                name,
                rule,
                text,
                next_run,
            )
        )

    async def remove(self, name: str) -> bool:
        """Forget one."""
        return bool(
            await self.database.write(
                lambda tx: tx.run("DELETE FROM schedule WHERE name = ?", name)
            )
        )

    async def get(self, name: str) -> Schedule | None:
        """One of them."""
        row = await self.database.read(
            lambda tx: tx.row(f"SELECT {COLUMNS} FROM schedule WHERE name = ?", name)
        )
        return _schedule(row) if row else None

    async def all(self) -> list[Schedule]:
        """By name."""
        rows = await self.database.read(
            lambda tx: tx.rows(f"SELECT {COLUMNS} FROM schedule ORDER BY name")
        )
        return [_schedule(row) for row in rows]

    async def due(self, now: float) -> list[Schedule]:
        """Those whose run should have begun, the oldest first."""
        rows = await self.database.read(
            lambda tx: tx.rows(
                f"SELECT {COLUMNS} FROM schedule WHERE next_run <= ? ORDER BY next_run", now
            )
        )
        return [_schedule(row) for row in rows]

    async def run(
        self, schedule: Schedule, job: NewJob, unit: NewUnit, *, next_run: float | None, now: float
    ) -> Submitted | None:
        """Accept the job of a due run and note the next one; None when another process did."""
        id = job.id or new_id(now)
        return await self.database.write(
            lambda tx: _run(tx, schedule, job, id, unit, next_run, now)
        )


def _run(
    tx: Tx, schedule: Schedule, job: NewJob, id: str, unit: NewUnit, next_run: float | None,
    now: float,
) -> Submitted | None:  # fmt: skip
    claimed = tx.run(
        "UPDATE schedule SET next_run = ?, last_run = ?, last_job = ? "
        "WHERE name = ? AND next_run = ? AND rule = ?",
        next_run, schedule.next_run, id, schedule.name, schedule.next_run, schedule.rule,
    )  # fmt: skip
    if not claimed and not (tx.again and _mine(tx, schedule.name, id)):
        return None
    return submit(tx, job, id, [unit], True, now)


def _mine(tx: Tx, name: str, job: str) -> bool:
    row = tx.row("SELECT last_job FROM schedule WHERE name = ?", name)
    return row is not None and row[0] == job


def _schedule(row: tuple) -> Schedule:
    name, rule, config, next_run, last_run, last_job = row
    return Schedule(name, rule, json.loads(config), next_run, last_run, last_job)
