"""BatchAPI: one job, many batches, as many workers as the job asks for.

    POST /<api>[?dryRun=true] {workers, item_list | file_path_lister | delimited_files, …} → job
    GET /<api>?jobID=…        DELETE /<api>?jobID=…        GET /<api> (all jobs)
    GET /<api>/results?jobID=…[&per=item]  NDJSON in order       GET /<api>/results/<n>?jobID=…
    GET /<api>/dead-letters?jobID=…                POST /<api>/retry?jobID=…
Cortex' contract (docs/workloads/batch/jobs.md), with results, retries and dead letters. A batch is
POSTed to the service as a JSON list with X-Cortex-Job-ID; 2xx is success and the body its result.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from starlette.responses import Response

from descent.deploy.errors import HttpError
from descent.deploy.jobs.answers import batch_status, dead_letters, job_row, result_lines, submitted
from descent.deploy.jobs.calling import failure
from descent.deploy.jobs.enqueuing import Enqueuing
from descent.deploy.jobs.http import Request, json_answer, lines_answer
from descent.deploy.jobs.inputs import Inputs
from descent.deploy.jobs.loops import end_loop, repeat, set_within
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import Job, Lease
from descent.deploy.jobs.submissions import BatchSubmission, parse
from descent.deploy.jobs.working import Done, Failed, Workers
from descent.deploy.pool import Pool
from descent.deploy.pools.local import LocalPool

__all__ = ["BatchKind", "job_asked_for"]

MOST_REPLICAS = 100  # Cortex' max_replicas, where a batch's spec has none of its own
LOOK_S = 1.0  # for jobs that another node accepted, and for those that have ended


class BatchKind:
    """The HTTP of a BatchAPI, and the workers of its running jobs."""

    def __init__(self, room: Room, inputs: Inputs | None = None):
        self.room = room
        self.inputs = inputs or Inputs()
        self._look = asyncio.Event()
        self.enqueuing = Enqueuing(room, self.inputs, self._look.set)
        self.workers: dict[str, Workers] = {}
        self._asked = (0, 1)  # the pool by identity, the replicas last asked of it
        self._scaling: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with what was being enqueued or worked on."""
        await self.enqueuing.resume()
        self._watch = repeat(self._look_for_jobs, f"{self.room.api} jobs")

    async def close(self, grace_s: float) -> None:
        """Finish the batches that have begun within `grace_s`; give back the rest."""
        await end_loop(self._watch)
        await end_loop(self._scaling)
        await self.enqueuing.close()
        await asyncio.gather(*(workers.close(grace_s) for workers in self.workers.values()))
        self.workers.clear()

    async def answer(self, request: Request) -> Response:
        """One HTTP request."""
        tail, room = request.tail.split("/"), self.room
        method = "GET" if request.method == "HEAD" else request.method
        match (method, *tail):
            case ("POST", ""):
                return await self._submit(request)
            case ("GET", ""):
                if "jobID" not in request.query:
                    return await self._list(request)
                job = await job_asked_for(room, request)
                job = await room.until_ended(job, request.number("wait", 0, 0, 300))
                return json_answer(batch_status(room, job))
            case ("DELETE", ""):
                return await self._stop(await job_asked_for(room, request))
            case ("GET", "results"):
                job = await job_asked_for(room, request)
                per_item = request.query.get("per") == "item"
                first = request.number("from", 0, 0, 2**40)
                return lines_answer(result_lines(room, job, per_item, first))
            case ("GET", "results", number) if number.isascii() and number.isdigit():
                return await self._result(await job_asked_for(room, request), int(number))
            case ("GET", "dead-letters"):
                return json_answer(await dead_letters(room, request))
            case ("POST", "retry" | "redrive"):
                return await self._retry(await job_asked_for(room, request))
        raise HttpError(
            405,
            "method_not_allowed",
            f"{request.method} {request.below or '/'} is nothing a BatchAPI has",
        )

    async def _submit(self, request: Request) -> Response:
        body = await request.body()
        submission = await asyncio.to_thread(parse, BatchSubmission, body)
        if request.flag("dryRun"):
            said = await asyncio.to_thread(self._dry_run, submission)
            return Response(said, 200, None, "text/plain")  # people read it, as in Cortex
        await asyncio.to_thread(self.inputs.check, submission)
        job = await self.enqueuing.accept(submission, body, request.key)
        self._look.set()
        return json_answer(submitted(self.room, job))

    def _dry_run(self, submission: BatchSubmission) -> str:
        if submission.item_list is not None:
            self.inputs.check(submission)
            return "validations passed"
        self.inputs.check(submission)
        lister = submission.file_path_lister or submission.delimited_files
        assert lister is not None
        return "".join(f"{path}\n" for path in self.inputs.files(lister)) + "validations passed"

    async def _list(self, request: Request) -> Response:
        page = await self.room.store.jobs(
            self.room.api,
            status=[word for word in request.query.get("status", "").split(",") if word],
            cursor=request.query.get("cursor"),
            limit=request.number("limit", 100, 1, 1000),
        )
        return json_answer({"jobs": [job_row(job) for job in page.items], "cursor": page.cursor})

    async def _stop(self, job: Job) -> Response:
        if job.open:
            await self.room.store.cancel(job.id, "stopped by the user")
            self.stop_work(job)
            self.room.tell_ended(job.id)
        return json_answer({"message": f"stopped job {job.id}"})

    def stop_work(self, job: Job) -> None:
        """The job has ended: read and work no more."""
        self.enqueuing.stop(job.id)
        if job.id in self.workers:
            self.workers[job.id].stop_work(job.id)

    async def _retry(self, job: Job) -> Response:
        again = await self.room.store.retry(job.id)
        self._look.set()
        return json_answer(batch_status(self.room, again))

    async def _result(self, job: Job, index: int) -> Response:
        unit = await self.room.store.unit(job.id, index)
        if unit is None or unit.result is None:
            raise HttpError(404, "no_result", f"batch {index} of {job.id} has no result")
        with contextlib.suppress(FileNotFoundError):
            data = await self.room.contents.read(unit.result)
            kind = unit.result.meta.get("type") or "application/octet-stream"
            return Response(data, 200, {"content-type": kind, "x-content-type-options": "nosniff"})
        raise HttpError(410, "no_result", "the result's file has been removed")

    # work

    async def _look_for_jobs(self) -> None:
        """Workers for each job that runs, none for those that have ended."""
        page = await self.room.store.jobs(self.room.api, open=True, limit=1000)
        running = {job.id: job for job in page.items if job.status == "running"}
        for id in [id for id in self.workers if id not in running]:
            workers = self.workers.pop(id)
            workers.stop_work(id)
            await workers.close()
            self.room.tell_ended(id)
        for id, job in running.items():
            if id not in self.workers:
                self.workers[id] = self._workers_of(job)
                self.workers[id].start()
        self._ask_for(sum(_workers(job) for job in running.values()))
        await set_within(self._look, LOOK_S)
        self._look.clear()

    def _room_for_batches(self) -> int:
        """How many may be under way: in this process as many as there are threads for."""
        calls = self.room.calls
        each = MOST_REPLICAS if isinstance(calls.pool, LocalPool) else calls.concurrency()
        return calls.ready() * each

    def _ask_for(self, workers: int) -> None:
        """As many replicas as there are workers at work (a local pool has one, whatever is asked);
        one when there is nothing to do."""
        pool = self.room.calls.pool
        wanted = min(MOST_REPLICAS, max(1, workers))
        if pool is None or self._asked == (id(pool), wanted):
            return
        if self._scaling is None or self._scaling.done():
            self._asked = id(pool), wanted
            self._scaling = asyncio.create_task(self._scale(pool, wanted))

    async def _scale(self, pool: Pool, replicas: int) -> None:
        try:
            await pool.scale(replicas)
        except Exception as error:
            self.room.log(f"cannot go to {replicas} replicas: {error}", level="error")

    def _workers_of(self, job: Job) -> Workers:
        room, number = self.room, _workers(job)
        return Workers(
            room.store,
            room.api,
            name=room.worker,
            work=self.work,
            capacity=lambda: min(number, self._room_for_batches()),
            lease_s=room.spec.lease_s,
            told=self._told,
            job=job.id,
        )

    def work(self, lease: Lease) -> Awaitable[Done | Failed]:
        """Give one batch to the service."""
        return self._work(lease)

    async def _work(self, lease: Lease) -> Done | Failed:
        room = self.room
        headers = [("content-type", "application/json"), ("x-cortex-job-id", lease.job)]
        try:
            answer = await room.calls.call(
                "",
                await room.contents.read(lease.payload),
                headers,
                job=lease.job,
                unit=f"{lease.job}/{lease.index}",
                attempt=lease.attempt,
            )
        except TimeoutError:
            return Failed(f"took longer than timeout_s ({room.spec.timeout_s} s)")
        if not 200 <= answer.status < 300:
            return failure(answer)
        meta = {"type": answer.headers.get("content-type", "")}
        name = f"{lease.index}.{lease.fence}"
        return Done(lambda: room.contents.keep(lease.job, name, answer.body, meta))

    def _told(self, lease: Lease, outcome: Done | Failed, seconds: float, state: str) -> None:
        self.room.counts.ended(seconds, state)
        workers = self.workers.get(lease.job)
        if workers is not None and len(workers.active) <= 1:
            self._look.set()  # perhaps that was the last
        if isinstance(outcome, Failed):
            self.room.log(
                outcome.error,
                level="error",
                job_id=lease.job,
                batch=lease.index,
                attempt=lease.attempt,
                state=state,
            )


def _workers(job: Job) -> int:
    return int(job.config.get("workers", 1))


async def job_asked_for(room: Room, request: Request) -> Job:
    """The job of `?jobID=`. Raises `HttpError` 400 without one, 404 for an unknown one."""
    id = request.query.get("jobID")
    if not id:
        raise HttpError(400, "invalid_query", "give the job: ?jobID=…", field="jobID")
    return await room.job(id)
