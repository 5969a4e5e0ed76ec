"""A job API of any kind: what the node holds of an AsyncAPI, a BatchAPI or a TaskAPI.

JobApi(spec, store, files, log).use(pool, spec, version) · start · close · app (its HTTP)
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp

from descent.deploy.jobs.answers import batch_status, job_row, task_status
from descent.deploy.jobs.asynchronous import AsyncKind
from descent.deploy.jobs.batch import BatchKind
from descent.deploy.jobs.counting import Counts
from descent.deploy.jobs.deliveries import Deliveries
from descent.deploy.jobs.housekeeping import Housekeeping
from descent.deploy.jobs.http import application
from descent.deploy.jobs.inputs import Inputs
from descent.deploy.jobs.logs import JobLogs
from descent.deploy.jobs.loops import end_loop, repeat
from descent.deploy.jobs.results import Files
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import Job, Store
from descent.deploy.jobs.tasks import TaskKind
from descent.deploy.pool import Pool
from descent.deploy.spec import Spec

__all__ = ["JobApi"]

COUNT_S, TIDY_S = 1.0, 600.0


class JobApi:
    """One job API. `app` answers below the spec's endpoint; `counts` are for a `JobsCollector`.

    Args:
        log: `log(line, **fields)`, one line of the API's log; `job_id` among the fields.
        worker: this node's name, the same after a restart: what it had leased is taken back then.
        inputs: what files a batch may name; None: the working directory, $DESCENT_INPUT_ROOTS.
        tasks: the folder of runs of tasks; None: beside the results.
        logs: the folder of a log for each job; None: none but the API's.
        housekeeping: False where the node keeps house for all APIs.
    """

    def __init__(
        self,
        spec: Spec,
        store: Store,
        files: Files,
        log: Callable[..., None] | None = None,
        *,
        worker: str | None = None,
        inputs: Inputs | None = None,
        tasks: Path | None = None,
        logs: Path | None = None,
        housekeeping: bool = True,
    ):
        node = worker or f"{socket.gethostname()}:{files.folder or ''}"
        name = f"{node}/{spec.name}/"  # the slash: names are prefixes to `Store.recover`
        told = log or (lambda line, **fields: None)
        self.room = Room(spec, store, files, told, name, JobLogs(logs) if logs else None)
        self.counts: Counts = self.room.counts
        if spec.kind == "AsyncAPI":
            self.kind: AsyncKind | BatchKind | TaskKind = AsyncKind(self.room)
        elif spec.kind == "BatchAPI":
            self.kind = BatchKind(self.room, inputs)
        elif spec.kind == "TaskAPI":
            self.kind = TaskKind(self.room, tasks or files.folder or Path.cwd() / "tasks")
        else:
            raise ValueError(f"{spec.kind} has no jobs")
        self.app: ASGIApp = application(self.kind.answer, lambda: self.room.spec.max_body_bytes)
        self._deliveries = Deliveries(self.room, self.describe)
        self._housekeeping = Housekeeping(store, files) if housekeeping else None
        self._counter: asyncio.Task[None] | None = None
        self._tidier: asyncio.Task[None] | None = None

    def use(
        self, pool: Pool | None, spec: Spec, version: int, *, folder: Path | None = None
    ) -> None:
        """What begins from now on goes to `pool` (None for tasks, which run in processes of their
        own; `folder` is where their code is). What has begun ends where it is: see `drained`."""
        self.room.use(pool, spec, version, folder)

    async def drained(self, pool: Pool, timeout_s: float | None = None) -> bool:
        """Wait until nothing is under way in `pool`; False if that took longer."""
        return await self.room.calls.drained(pool, timeout_s)

    async def start(self) -> None:
        """Take back what this node had leased when it died, and begin to work."""
        await self.room.store.recover(self.room.worker)
        await self.kind.start()
        self._deliveries.start()
        if self._housekeeping is not None:
            self._housekeeping.start()
        self._counter = repeat(self._count, f"{self.room.api} counts")
        self._tidier = repeat(self._tidy, f"{self.room.api} logs")

    def leave(self) -> None:
        """The node is stopping: answer those who wait for a job now, as it stands."""
        self.room.leave()

    async def close(self, grace_s: float) -> None:
        """Stop taking work; what has begun may finish within `grace_s`, then is given back."""
        await self.kind.close(grace_s)
        await self._deliveries.close()
        await end_loop(self._counter)
        await end_loop(self._tidier)
        if self._housekeeping is not None:
            await self._housekeeping.close()

    async def remove(self) -> None:
        """The API is deleted: end its open jobs and forget all of them."""
        store, api = self.room.store, self.room.api
        removed = 1
        while removed and (page := await store.jobs(api, limit=500)).items:
            removed = 0
            for job in page.items:
                if job.open:
                    await store.cancel(job.id, "the API was deleted")
                    self.kind.stop_work(job)
                await self.room.contents.forget(job.id)
                removed += await store.remove(job.id)
        await store.schedules.remove(api)
        if isinstance(self.kind, TaskKind):
            await self.kind.runs.forget()

    async def status(self) -> dict[str, Any]:
        """For `describe`, metrics and the autoscaler: units that wait and that are worked on."""
        accepted = self.counts.accepted
        counts = await self.room.store.counts(self.room.api)
        self.counts.queued = counts["queued"] + self.counts.accepted - accepted
        self.counts.active, self.counts.dead = counts["leased"], counts["dead"]
        return {
            "queued": counts["queued"],
            "in_flight": counts["leased"],
            "dead_letters": counts["dead"],
            "open_jobs": counts["open_jobs"],
            "succeeded": self.counts.succeeded,
            "failed": self.counts.failed,
            "retried": self.counts.retried,
        }

    async def _count(self) -> None:
        await self.status()
        await asyncio.sleep(COUNT_S)

    async def _tidy(self) -> None:
        room = self.room
        if room.logs is not None:
            await asyncio.to_thread(room.logs.forget, time.time() - room.spec.ttl_s)
        await asyncio.sleep(TIDY_S)

    async def list(self, query: str = "") -> list[dict[str, Any]]:
        """Jobs, newest first; `query` as in HTTP (status=…&limit=…)."""
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        page = await self.room.store.jobs(
            self.room.api,
            status=[word for word in asked.get("status", "").split(",") if word],
            cursor=asked.get("cursor"),
            limit=min(1000, max(1, int(asked.get("limit", "100")))),
        )
        return [{**job_row(job), "kind": job.kind} for job in page.items]

    async def get(self, id: str) -> dict[str, Any]:
        """One job, as its kind tells it. Raises `HttpError` 404."""
        return await self.describe(await self.room.job(id))

    async def stop(self, id: str) -> dict[str, Any]:
        """End one job. Raises `HttpError` 404."""
        job = await self.room.job(id)
        if job.open:
            await self.room.store.cancel(id, "stopped by the user")
            self.kind.stop_work(job)
            self.room.tell_ended(id)
        return {"message": f"stopped job {id}"}

    async def describe(self, job: Job) -> dict[str, Any]:
        """What HTTP answers of a job."""
        if isinstance(self.kind, AsyncKind):
            return await self.kind.status(job)
        if isinstance(self.kind, TaskKind):
            unit = await self.room.store.unit(job.id)
            return task_status(self.room, job, unit)["job_status"]
        said = batch_status(self.room, job)
        return {**said["job_status"], "metrics": said["metrics"]}
