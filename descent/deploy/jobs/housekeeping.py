"""What time does to jobs: leases run out, jobs time out, results go a week after the end."""

from __future__ import annotations

import asyncio

from descent.deploy.jobs.loops import end_loop, repeat
from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import Job, Store

__all__ = ["Housekeeping"]

SWEEP_S = 1.0
EXPIRE_EVERY, ORPHANS_EVERY = 10, 3600  # sweeps
ORPHAN_S = 24 * 3600.0


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
            while await self.expire():  # all of them: more may be accepted than one page holds
                await self.store.sweep()
        if self._rounds % ORPHANS_EVERY == 0:
            await self.remove_orphans()

    async def expire(self) -> int:
        """Remove some of the jobs whose time to live is over, files first; how many."""
        jobs = await self.store.expired()
        await asyncio.gather(*(self._remove(job) for job in jobs))
        return len(jobs)

    async def _remove(self, job: Job) -> None:
        await asyncio.to_thread(self.files.delete, f"{job.api}/{job.id}")
        await self.store.remove(job.id)

    async def remove_orphans(self, older_than_s: float = ORPHAN_S) -> int:
        """Remove files of jobs that were never accepted (a crash between file and row); how many
        jobs' files."""
        removed = 0
        for key in await asyncio.to_thread(self.files.old, older_than_s):
            if await self.store.job(key.rpartition("/")[2]) is None:
                await asyncio.to_thread(self.files.delete, key)
                removed += 1
        return removed
