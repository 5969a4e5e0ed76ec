"""Runs that are due: each claimed once, whoever looks, and accepted in the same transaction.

Runs that were missed while no node ran are made up for by one run, not one for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from descent.deploy.jobs.loops import end_loop, repeat
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import NewJob, NewUnit
from descent.deploy.jobs.submissions import TaskSubmission
from descent.deploy.spec.schedules import Schedule

__all__ = ["Scheduling"]

LOOK_S = 1.0


class Scheduling:
    """The schedule of one TaskAPI."""

    def __init__(self, room: Room, new_job: Callable[[TaskSubmission], NewJob]):
        self.room, self.new_job = room, new_job
        self._known: str | None = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, until `close`."""
        self._task = repeat(self._look, f"{self.room.api} schedule")

    async def close(self) -> None:
        """Stop looking."""
        await end_loop(self._task)

    async def _look(self) -> None:
        rule = self.room.spec.schedule
        if rule != self._known and self.room.version:
            await self._set(rule)
            self._known = rule
        if rule is not None and self._known == rule:
            await self.run_due()
        await asyncio.sleep(LOOK_S)

    async def _set(self, rule: str | None) -> None:
        store, api = self.room.store, self.room.api
        if rule is None:
            await store.schedules.remove(api)
        else:
            await store.schedules.set(api, rule, Schedule(rule).after(store.now()))

    async def run_due(self) -> str | None:
        """Accept the run that is due, if one is; the id of its job."""
        store, api = self.room.store, self.room.api
        now = store.now()
        for due in await store.schedules.due(now):
            if due.name != api:
                continue
            job = self.new_job(TaskSubmission())
            accepted = await store.schedules.run(
                due, job, NewUnit(), next_run=Schedule(due.rule).after(now), now=now
            )
            if accepted is not None:
                self.room.log("task is due", job_id=accepted.job.id, rule=due.rule)
                return accepted.job.id
        return None
