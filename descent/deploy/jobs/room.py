"""What the parts of one job API share: store, files, pool, counts, who waits for what."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descent.deploy.errors import HttpError
from descent.deploy.jobs.calling import Calls
from descent.deploy.jobs.contents import Contents
from descent.deploy.jobs.counting import Counts
from descent.deploy.jobs.logs import JobLogs
from descent.deploy.jobs.loops import set_within
from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import Job, Store
from descent.deploy.pool import Pool
from descent.deploy.spec import Spec

__all__ = ["Room"]

LOOK_S = 0.5  # a job that ends on another node is seen by looking


class Room:
    """`worker` is this node's name for it."""

    def __init__(
        self,
        spec: Spec,
        store: Store,
        files: Files,
        log: Callable[..., None],
        worker: str,
        logs: JobLogs | None = None,
    ):
        self.spec = spec
        self.version = 0
        self.folder: Path | None = None  # what the version's owner sent
        self.store, self.files, self.worker = store, files, worker
        self.logs, self._log = logs, log
        self.contents = Contents(files, spec.name)
        self.calls = Calls()
        self.counts = Counts(spec.name, spec.kind)
        self._leaving = False
        self._ended: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @property
    def api(self) -> str:
        """The name of the API."""
        return self.spec.name

    @property
    def endpoint(self) -> str:
        """Where it answers, "/sorter"."""
        return self.spec.networking.endpoint or f"/{self.spec.name}"

    def use(self, pool: Pool | None, spec: Spec, version: int, folder: Path | None) -> None:
        """The version from now on."""
        self.spec, self.version, self.folder = spec, version, folder
        self.calls.use(pool, spec, version)

    def log(self, line: str, **fields: Any) -> None:
        """One line of the API's log, and of the job's (`job_id`) own."""
        self._log(line, **fields)
        if self.logs is not None and (job := fields.get("job_id")):
            self.logs.write(job, self.api, self.version, line, fields)

    async def job(self, id: str) -> Job:
        """Raises `HttpError` 404 for an id that this API does not have."""
        job = await self.store.job(id)
        if job is None or job.api != self.api:
            raise HttpError(404, "not_found", f"id {id} not found")
        return job

    def leave(self) -> None:
        """The node is stopping: nobody need wait any longer, all are told how things stand."""
        self._leaving = True
        for job in list(self._ended):
            self.tell_ended(job)

    def tell_ended(self, job: str) -> None:
        """Wake those who wait for it."""
        for event in self._ended.pop(job, ()):
            event.set()

    async def until_ended(self, job: Job, timeout_s: float) -> Job:
        """The job when it has ended, or as it stands when the time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while job.open and not self._leaving and (left := until - loop.time()) > 0:
            event = asyncio.Event()
            self._ended[job.id].add(event)
            try:
                await set_within(event, min(left, LOOK_S))
            finally:
                waiting = self._ended.get(job.id)
                if waiting is not None:
                    waiting.discard(event)
                    if not waiting:
                        del self._ended[job.id]
            job = await self.store.job(job.id) or job
        return job
