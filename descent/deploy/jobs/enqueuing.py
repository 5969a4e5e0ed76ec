"""From an accepted submission to units in the store, resumed after a crash.

A list of items that fits one transaction is accepted whole. Anything longer is accepted as a job
that is being filled: its submission lies in a file, and a task here reads it and adds units chunk
by chunk; numbers already there are passed over, so filling can begin again at any time (files that
have changed in between are read as they are then). No batch is worked on before all are there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator

from descent.deploy.errors import HttpError
from descent.deploy.jobs.inputs import Inputs
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import (
    Conflict,
    Content,
    Gone,
    Job,
    NewJob,
    NewUnit,
    StoreError,
    StoreFull,
    new_id,
)
from descent.deploy.jobs.submissions import BatchSubmission, ItemList, parse

__all__ = ["Enqueuing"]

CHUNK, CHUNK_BYTES = 2000, 8 << 20
SUBMISSION = "submission"
EVENTS = ("on-job-complete",)


class Enqueuing:
    """Accepts submissions; `resume` goes on with those a crash interrupted. `filled` is called
    when a job may run."""

    def __init__(self, room: Room, inputs: Inputs, filled: Callable[[], None]):
        self.room, self.inputs, self.filled = room, inputs, filled
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def accept(self, submission: BatchSubmission, body: bytes, key: str | None) -> Job:
        """On disk when this returns. Raises `HttpError`, `Conflict`, `StoreFull`."""
        room = self.room
        job = self._new_job(submission, body, key)
        id = job.id or ""
        source = submission.source
        if isinstance(source, ItemList) and len(source.items) <= CHUNK * source.batch_size:
            units = list(_units(self.inputs.batches(submission)))
            return (await room.store.submit(job, units)).job
        name = f"{room.api}/{id}/{SUBMISSION}"
        await asyncio.to_thread(room.files.put, name, body)
        try:
            accepted = await room.store.submit(job, complete=False)
        except (Conflict, StoreFull):  # after any other it may have been accepted
            await room.contents.forget(id)
            raise
        if not accepted.fresh:
            await room.contents.forget(id)
        known = accepted.job
        if known.status == "enqueuing" and known.id not in self._tasks:  # or its answer was lost
            self._begin(known, submission)
        return known

    async def resume(self) -> None:
        """Fill on what is not full yet."""
        room = self.room
        page = await room.store.jobs(room.api, status=["enqueuing"], open=True, limit=1000)
        for job in page.items:
            try:
                body = await asyncio.to_thread(room.files.get, f"{room.api}/{job.id}/{SUBMISSION}")
                self._begin(job, parse(BatchSubmission, body))
            except (FileNotFoundError, HttpError) as error:
                await room.store.end_job(job.id, "enqueue_failed", f"cannot be resumed: {error}")

    def stop(self, job: str) -> None:
        """The job has ended."""
        task = self._tasks.get(job)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Leave the rest for the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _new_job(self, submission: BatchSubmission, body: bytes, key: str | None) -> NewJob:
        spec, queue = self.room.spec, submission.sqs_dead_letter_queue
        attempts = submission.attempts or (queue.max_receive_count if queue else spec.attempts)
        backoff_s = submission.retry_backoff_s
        return NewJob(
            api=spec.name,
            kind="BatchAPI",
            id=new_id(),
            version=self.room.version,
            config={
                "workers": submission.workers,
                "timeout": submission.timeout,
                "config": submission.config or {},
                "sqs_dead_letter_queue": queue.model_dump() if queue else None,
            },
            timeout_s=submission.timeout or spec.job_timeout_s,
            ttl_s=spec.ttl_s,
            attempts=attempts,
            backoff_s=spec.retry_backoff_s if backoff_s is None else backoff_s,
            idempotency_key=key,
            fingerprint=hashlib.sha256(body).hexdigest() if key else None,
            events=EVENTS + (("webhook",) if spec.webhook else ()),
        )

    def _begin(self, job: Job, submission: BatchSubmission) -> None:
        task = asyncio.create_task(self._fill(job, submission), name=f"enqueue {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    async def _fill(self, job: Job, submission: BatchSubmission) -> None:
        room, pause_s = self.room, 0.2
        while True:
            try:
                chunks = _chunks(_units(self.inputs.batches(submission)))
                start = 0
                while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                    if start + len(chunk) > job.total:
                        await room.store.add_units(job.id, chunk, start=start)
                    start += len(chunk)
                await room.store.start_job(job.id)
                self.filled()
                return
            except HttpError as error:  # a file that cannot be read, a batch that is too large
                await self._give_up(job.id, str(error))
                return
            except (Gone, ValueError):  # stopped or removed meanwhile
                return
            except StoreError as error:
                room.log(f"enqueuing waits: {error}", level="warning", job_id=job.id)
            except Exception as error:
                await self._give_up(job.id, f"{type(error).__name__}: {error}")
                raise
            await asyncio.sleep(pause_s)
            pause_s = min(5.0, 2 * pause_s)
            job = await room.job(job.id)

    async def _give_up(self, job: str, reason: str) -> None:
        self.room.log(f"enqueuing failed: {reason}", level="error", job_id=job)
        await self.room.store.end_job(job, "enqueue_failed", reason)
        self.room.tell_ended(job)


def _units(batches: Iterator[tuple[bytes, int]]) -> Iterator[NewUnit]:
    for data, items in batches:
        yield NewUnit(Content(data=data), items=items)


def _chunks(units: Iterator[NewUnit]) -> Iterator[list[NewUnit]]:
    """As many as one transaction takes, and memory."""
    chunk: list[NewUnit] = []
    size = 0
    for unit in units:
        chunk.append(unit)
        size += len(unit.payload.data or b"")
        if len(chunk) == CHUNK or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
