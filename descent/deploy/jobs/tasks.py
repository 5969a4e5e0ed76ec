"""TaskAPI: run something to its end, on request or on a schedule.

    POST /<api> {timeout, config} → job       GET /<api>?jobID=…       DELETE /<api>?jobID=…
    GET /<api> (all jobs)     GET /<api>/logs?jobID=…[&follow=true]     GET /<api>/results?jobID=…
    POST /<api>/retry?jobID=…
Cortex' contract (docs/workloads/task). A task runs in a process of its own, which a restart of the
node does not disturb; it is run again after a failure only as often as `attempts` (1) allows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.responses import Response

from descent.deploy.errors import HttpError
from descent.deploy.jobs.answers import job_row, submitted, task_status
from descent.deploy.jobs.batch import job_asked_for
from descent.deploy.jobs.commands import command_of
from descent.deploy.jobs.http import Request, json_answer, lines_answer
from descent.deploy.jobs.loops import end_loop, repeat
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.runs import Runs
from descent.deploy.jobs.scheduling import Scheduling
from descent.deploy.jobs.store import Content, Job, Lease, NewJob, NewUnit, new_id
from descent.deploy.jobs.submissions import TaskSubmission, parse
from descent.deploy.jobs.working import Done, Failed, Workers

__all__ = ["TaskKind"]

LEASES = 1000  # a task that outlives restarts is leased after each; runs are counted here
LOG_PIECE = 64 * 1024
TIDY_S = 60.0


class TaskKind:
    """The HTTP of a TaskAPI, its runs and its schedule."""

    def __init__(self, room: Room, folder: Path):
        self.room, self.runs = room, Runs(folder / room.api)
        self.workers: Workers | None = None
        self.scheduling = Scheduling(room, self.new_job)
        self._leaving = False
        self._tidying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find running tasks again, and go on."""
        room = self.room
        self.workers = Workers(
            room.store,
            room.api,
            name=room.worker,
            work=self.work,
            capacity=self._capacity,
            lease_s=room.spec.lease_s,
            told=self._told,
        )
        self.workers.start()
        self.scheduling.start()
        self._tidying = repeat(self._tidy, f"{room.api} runs")

    async def close(self, grace_s: float) -> None:
        """Leave: what runs goes on, and is found again."""
        del grace_s
        self._leaving = True
        await self.scheduling.close()
        await end_loop(self._tidying)
        if self.workers is not None:
            await self.workers.close()

    async def _tidy(self) -> None:
        """Remove the runs of jobs that are no more."""
        for job in await asyncio.to_thread(self.runs.jobs):
            if await self.room.store.job(job) is None:
                await self.runs.forget(job)
        await asyncio.sleep(TIDY_S)

    def _capacity(self) -> int:
        pod = self.room.spec.pod
        if not self.room.version:
            return 0
        given = "max_concurrency" in pod.model_fields_set
        return pod.max_concurrency if given else max(4, os.cpu_count() or 1)

    async def answer(self, request: Request) -> Response:
        """One HTTP request."""
        room, method = self.room, "GET" if request.method == "HEAD" else request.method
        match (method, *request.tail.split("/")):
            case ("POST", ""):
                return await self._submit(request)
            case ("GET", "") if "jobID" not in request.query:
                return await self._list(request)
            case ("GET", ""):
                job = await job_asked_for(room, request)
                job = await room.until_ended(job, request.number("wait", 0, 0, 300))
                return json_answer(task_status(room, job, await room.store.unit(job.id)))
            case ("DELETE", ""):
                return await self._stop(await job_asked_for(room, request))
            case ("GET", "logs"):
                job = await job_asked_for(room, request)
                return lines_answer(self._log(job, request.flag("follow")), "text/plain")
            case ("GET", "results"):
                return await self._result(await job_asked_for(room, request))
            case ("POST", "retry"):
                job = await room.store.retry((await job_asked_for(room, request)).id)
                return json_answer(task_status(room, job, None))
        raise HttpError(
            405,
            "method_not_allowed",
            f"{request.method} {request.below or '/'} is nothing a TaskAPI has",
        )

    async def _submit(self, request: Request) -> Response:
        body = await request.body()
        submission = parse(TaskSubmission, body)
        key = request.key
        fingerprint = hashlib.sha256(body).hexdigest() if key else None
        new = self.new_job(submission, key=key, fingerprint=fingerprint)
        accepted = await self.room.store.submit(new, [NewUnit()])
        return json_answer(submitted(self.room, accepted.job))

    def new_job(
        self, submission: TaskSubmission, *, key: str | None = None, fingerprint: str | None = None
    ) -> NewJob:
        """The job of a submission, or of a run that is due."""
        spec = self.room.spec
        config = {
            "workers": 1,
            "timeout": submission.timeout,
            "config": submission.config or {},
            "attempts": spec.attempts,
        }
        return NewJob(
            api=spec.name,
            kind="TaskAPI",
            id=new_id(),
            version=self.room.version,
            config=config,
            timeout_s=submission.timeout or spec.job_timeout_s,
            ttl_s=spec.ttl_s,
            attempts=LEASES,
            backoff_s=spec.retry_backoff_s,
            idempotency_key=key,
            fingerprint=fingerprint,
            events=("webhook",) if spec.webhook else (),
        )

    async def _list(self, request: Request) -> Response:
        page = await self.room.store.jobs(
            self.room.api,
            status=[word for word in request.query.get("status", "").split(",") if word],
            cursor=request.query.get("cursor"),
            limit=request.number("limit", 100, 1, 1000),
        )
        rows: dict[str, Any] = {"jobs": [job_row(j) for j in page.items], "cursor": page.cursor}
        if schedule := await self.room.store.schedules.get(self.room.api):
            rows["schedule"] = {"rule": schedule.rule, "next_run": schedule.next_run}
        return json_answer(rows)

    async def _stop(self, job: Job) -> Response:
        if job.open:
            await self.room.store.cancel(job.id, "stopped by the user")
            self.stop_work(job)
            self.room.tell_ended(job.id)
        return json_answer({"message": f"stopped job {job.id}"})

    def stop_work(self, job: Job) -> None:
        """The job has ended: so do its processes."""
        if self.workers is not None:
            self.workers.stop_work(job.id)
        self.runs.stop(job.id, job.round)

    async def _result(self, job: Job) -> Response:
        unit = await self.room.store.unit(job.id)
        if unit is None or unit.result is None:
            raise HttpError(404, "no_result", f"{job.id} is {job.status}: it has no result")
        return Response(await self.room.contents.read(unit.result), 200, None, "application/json")

    async def _log(self, job: Job, follow: bool) -> AsyncIterator[bytes]:
        """What the task wrote, all runs in order."""
        seen: dict[Path, int] = {}
        while True:
            job = await self.room.store.job(job.id) or job
            open_before = job.open
            for path in self.runs.logs(job.id):
                with path.open("rb") as file:
                    file.seek(seen.get(path, 0))
                    while piece := await asyncio.to_thread(file.read, LOG_PIECE):
                        yield piece
                    seen[path] = file.tell()
            if not (follow and open_before):
                return
            await asyncio.sleep(0.2)

    # work

    async def work(self, lease: Lease) -> Done | Failed:
        """Run it, or go on waiting for the run that a restart of the node left behind."""
        job = await self.room.store.job(lease.job)
        if job is None:
            return Failed("the job has been removed", retry=False)
        run, count = self.runs.latest(lease.job, job.round)
        if run is None or run.reported:
            count += 1
            run = self.runs.run(lease.job, job.round, count)
        if not run.begun:  # or the node was killed as it began this one
            try:
                command = command_of(self.room, lease, run.folder)
                await asyncio.to_thread(run.begin, command, submitted(self.room, job))
            except OSError as error:
                return Failed(str(error), retry=False, code="unexpected_error")
            self.room.log("task started", job_id=lease.job, run=run.folder.name)
        try:
            ended = await run.ended(
                lambda line: self.room.log(line, job_id=lease.job, stream="stdout")
            )
        except asyncio.CancelledError:
            if not self._leaving:
                run.stop()
            raise
        if ended.status == "succeeded":
            data = run.result() or json.dumps({"exit_code": ended.code}).encode()
            name = f"result.{lease.fence}"

            async def keep() -> Content:
                return await self.room.contents.keep(
                    lease.job, name, data, {"type": "application/json"}
                )

            return Done(keep)
        again = count < int(job.config.get("attempts", 1))
        again = again and ended.status in ("worker_error", "worker_oom")
        return Failed(ended.reason, retry=again, code=ended.status)

    def _told(self, lease: Lease, outcome: Done | Failed, seconds: float, state: str) -> None:
        room = self.room
        room.counts.ended(seconds, state)
        if state != "refused":
            self.runs.report(lease.job)
        words = outcome.error if isinstance(outcome, Failed) else "task succeeded"
        level = "error" if isinstance(outcome, Failed) else "info"
        room.log(words, level=level, job_id=lease.job, state=state)
        if state in ("done", "dead", "failed"):
            room.tell_ended(lease.job)
