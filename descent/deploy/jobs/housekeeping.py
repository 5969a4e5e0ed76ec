"""What time does to jobs: leases run out, jobs time out, results go a week after the end."""

from __future__ import annotations

import asyncio

from descent.deploy.jobs.loops import end_loop, repeat
from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import Store

__all__ = ["Housekeeping"]

SWEEP_S = 1.0
EXPIRE_EVERY = 10  # sweeps


class Housekeeping:
    """One per store and process is enough; more do no harm."""

    def __init__(self, store: Store, files: Files):
        self.store, self.files = store, files
        self._rounds = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, until `close`."""
        self._task = repeat(self._sweep, "jobs housekeeping")

    async def close(self) -> None:
        """Stop."""
        await end_loop(self._task)

    async def _sweep(self) -> None:
        await asyncio.sleep(SWEEP_S)
        await self.store.sweep()
        self._rounds += 1
        if self._rounds % EXPIRE_EVERY == 0:
            await self.expire()

    async def expire(self) -> int:
        """Remove jobs whose time to live is over, files first; how many."""
        jobs = await self.store.expired()
        for job in jobs:
            await asyncio.to_thread(self.files.delete, f"{job.api}/{job.id}")
            await self.store.remove(job.id)
        return len(jobs)
