"""AsyncAPI: take a request now, answer it later, by id. A job of one unit.

    POST /<api>[/sub] → {"id"}            GET /<api>/<id>[?wait=30] → {"id", "status", "result"}
    GET /<api>?status=…&cursor=…          GET /<api>/<id>/result → the bytes, as they were
    POST /<api>/<id>/{cancel, retry, progress}      DELETE /<api>/<id>
    GET /<api>/dead-letters               POST /<api>/dead-letters/redrive
Cortex' contract (docs/workloads/async), with what its users missed: the error of what failed, any
result type, idempotency keys, cancel, retry, list, dead letters. Accepted means on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from typing import Any

from starlette.responses import Response

from descent.deploy.errors import HttpError
from descent.deploy.jobs.http import Request, json_answer, moment
from descent.deploy.jobs.requests import Requests
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import (
    Conflict,
    Content,
    Job,
    NewJob,
    NewUnit,
    StoreFull,
    Unit,
    new_id,
)
from descent.deploy.jobs.working import Workers

__all__ = ["AsyncKind"]

ID = re.compile(r"[0-9a-f]{20}")
WORDS = ("in_queue", "in_progress", "completed", "failed", "cancelled")
MOST_WAITING = 100_000
INLINE_RESULT_BYTES = 1 << 20  # a larger JSON result is fetched from …/result
DROPPED = {  # of this hop, or secrets that must not lie in a database
    "authorization", "connection", "content-length", "cookie", "expect", "host", "idempotency-key",
    "keep-alive", "prefer", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    "x-api-key",
}  # fmt: skip


class AsyncKind:
    """The HTTP of an AsyncAPI, and the work on its requests. `most_waiting`: more are refused."""

    def __init__(self, room: Room):
        self.room = room
        self.most_waiting = MOST_WAITING
        self.workers: Workers | None = None

    async def start(self) -> None:
        """Begin to work."""
        room, requests = self.room, Requests(self.room)
        self.workers = Workers(
            room.store,
            room.api,
            name=room.worker,
            work=requests.work,
            capacity=lambda: room.calls.ready() * room.spec.pod.max_concurrency,
            lease_s=room.spec.lease_s,
            told=requests.told,
        )
        self.workers.start()

    async def close(self, grace_s: float) -> None:
        """Finish what has begun within `grace_s`; give back the rest."""
        if self.workers is not None:
            await self.workers.close(grace_s)

    async def answer(self, request: Request) -> Response:
        """One HTTP request."""
        parts = request.tail.split("/") if request.tail else []
        if parts[:1] == ["dead-letters"]:
            return await self._dead_letters(request, parts[1:])
        if parts and ID.fullmatch(parts[0]) and len(parts) <= 2:
            return await self._one(request, *parts)
        if request.method == "POST":
            return await self._submit(request)
        if request.method in ("GET", "HEAD") and not parts:
            return await self._list(request)
        if request.method in ("GET", "HEAD") and len(parts) == 1:
            raise HttpError(404, "not_found", f"id {parts[0]} not found")
        raise _not_allowed(request)

    # POST: accept

    async def _submit(self, request: Request) -> Response:
        self._refuse_if_full()
        body = await request.body()
        id, spec = new_id(), self.room.spec
        key = request.key
        headers = [(n, v) for n, v in request.headers.items() if _goes_on(n.lower())]
        meta = {"path": request.below, "query": request.raw_query, "headers": headers}
        content = await self.room.contents.keep(id, "request", body, meta)
        job = NewJob(
            api=self.room.api,
            kind="AsyncAPI",
            id=id,
            version=self.room.version,
            timeout_s=spec.job_timeout_s,
            ttl_s=spec.ttl_s,
            attempts=spec.attempts,
            backoff_s=spec.retry_backoff_s,
            idempotency_key=key,
            fingerprint=_fingerprint(request, body) if key else None,
            events=("webhook",) if spec.webhook else (),
        )
        try:
            submitted = await self.room.store.submit(job, [NewUnit(content)])
        except (Conflict, StoreFull):  # after any other it may have been accepted
            if content.ref is not None:
                await self.room.contents.forget(id)
            raise
        if not submitted.fresh and content.ref is not None:
            await self.room.contents.forget(id)
        return await self._accepted(request, submitted.job)

    async def _accepted(self, request: Request, job: Job) -> Response:
        """200 {"id"} as Cortex; `Prefer: respond-async` 202; `Prefer: wait=10` the whole status."""
        prefer = request.headers.get("prefer", "")
        headers = {"location": f"{self.room.endpoint}/{job.id}"}
        waits = re.search(r"\bwait=(\d{1,3})\b", prefer)
        if waits:
            job = await self.room.until_ended(job, float(waits[1]))
            return json_answer(await self.status(job), 202 if job.open else 200, headers)
        status = 202 if "respond-async" in prefer else 200
        return json_answer({"id": job.id}, status, headers)

    def _refuse_if_full(self) -> None:
        room, limit = self.room, self.most_waiting
        if room.counts.queued < limit:
            room.counts.queued += 1  # until they are counted again
            room.counts.accepted += 1
            return
        pace = room.counts.times.sum_s / max(1, room.counts.times.count)
        workers = max(1, room.calls.ready() * room.spec.pod.max_concurrency)
        raise HttpError(
            503,
            "queue_full",
            f"{room.counts.queued} requests of '{room.api}' wait; at most {limit} may",
            retry_after_s=min(3600.0, max(1.0, pace / workers)),
        )

    # GET, DELETE, POST /<id>

    async def _one(self, request: Request, id: str, what: str = "") -> Response:
        job = await self.room.job(id)
        method = "GET" if request.method == "HEAD" else request.method
        if method == "GET" and what == "":
            job = await self.room.until_ended(job, request.number("wait", 0, 0, 300))
            return json_answer(await self.status(job))
        if method == "GET" and what == "result":
            job = await self.room.until_ended(job, request.number("wait", 0, 0, 300))
            return await self._result(job)
        if method == "DELETE" and what == "":
            return await (self._cancel(job) if job.open else self._forget(job))
        if method == "POST" and what == "cancel":
            return await self._cancel(job)
        if method == "POST" and what == "retry":
            return json_answer(await self.status(await self.room.store.retry(id)))
        if method == "POST" and what == "progress":
            return await self._progress(request, id)
        raise _not_allowed(request)

    async def _cancel(self, job: Job) -> Response:
        if not job.open:
            raise HttpError(409, "ended", f"{job.id} has ended ({_word(job)}) and is not cancelled")
        await self.room.store.cancel(job.id)
        self.stop_work(job)
        self.room.tell_ended(job.id)
        return json_answer({"message": f"cancelled {job.id}"})

    def stop_work(self, job: Job) -> None:
        """The job has ended: work on it no more."""
        if self.workers is not None:
            self.workers.stop_work(job.id)

    async def _forget(self, job: Job) -> Response:
        await self.room.contents.forget(job.id)
        await self.room.store.remove(job.id)
        return json_answer({"message": f"removed {job.id}"})

    async def _progress(self, request: Request, id: str) -> Response:
        """From a service in another process."""
        try:
            progress = json.loads(await request.body())
        except ValueError:
            raise HttpError(400, "invalid_json", "progress is any JSON") from None
        lease = self.workers.active.get((id, 0)) if self.workers is not None else None
        if lease is None or not await self.room.store.set_progress(lease, progress):
            raise HttpError(409, "not_running", f"{id} is not being worked on here")
        return json_answer({"message": "noted"})

    async def status(self, job: Job) -> dict[str, Any]:
        """Of one request: Cortex' fields, then ours; what is not known is left out."""
        unit = await self.room.store.unit(job.id)
        said: dict[str, Any] = {"id": job.id, "status": _word(job)}
        if said["status"] == "completed" and unit is not None and unit.result is not None:
            kind = unit.result.meta.get("type", "")
            said["result_type"] = kind
            said["result_url"] = f"{self.room.endpoint}/{job.id}/result"
            value = await self._inline(unit.result) if _is_json(kind) else None
            if value is not None:
                said["result"] = value[0]
        if said["status"] in ("failed", "cancelled"):
            said["error"] = _error(job, unit)
        said["timestamp"] = moment(job.ended)
        said.update(
            attempts=unit.attempts if unit is not None else None,
            created=moment(job.created),
            started=moment(job.started),
            ended=moment(job.ended),
            progress=job.progress,
            version=job.version,
        )
        if job.open and unit is not None and unit.error:
            said["last_error"] = unit.error
        return {name: value for name, value in said.items() if value is not None}

    async def _inline(self, content: Content) -> tuple[Any] | None:
        if content.meta.get("bytes", 0) > INLINE_RESULT_BYTES:
            return None
        with contextlib.suppress(ValueError, FileNotFoundError):
            return (json.loads(await self.room.contents.read(content)),)
        return None

    async def _result(self, job: Job) -> Response:
        unit = await self.room.store.unit(job.id)
        if job.open:
            raise HttpError(
                409, "not_ended", f"{job.id} is {_word(job)}: it has no result yet", retry_after_s=1
            )
        if unit is None or unit.result is None:
            raise HttpError(410, "no_result", f"{job.id} {_word(job)}: {_error(job, unit)}")
        try:
            data = await self.room.contents.read(unit.result)
        except FileNotFoundError:
            raise HttpError(410, "no_result", "the result's file has been removed") from None
        kind = unit.result.meta.get("type") or "application/octet-stream"
        headers = {"content-type": kind, "x-content-type-options": "nosniff"}
        return Response(data, unit.result.meta.get("status", 200), headers)

    # lists

    async def _list(self, request: Request) -> Response:
        """Newest first."""
        wanted = [word for word in request.query.get("status", "").split(",") if word]
        if wrong := [word for word in wanted if word not in WORDS]:
            raise HttpError(
                400, "invalid_query", f"{wrong[0]!r} is none of {', '.join(WORDS)}", field="status"
            )
        page = await self.room.store.jobs(
            self.room.api,
            status=wanted,
            cursor=request.query.get("cursor"),
            limit=request.number("limit", 100, 1, 1000),
        )
        rows = [
            {"id": j.id, "status": _word(j), "created": moment(j.created), "ended": moment(j.ended)}
            for j in page.items
        ]
        return json_answer({"requests": rows, "cursor": page.cursor})

    async def _dead_letters(self, request: Request, more: list[str]) -> Response:
        store, api = self.room.store, self.room.api
        if request.method == "GET" and not more:
            page = await store.dead_letters(
                api, cursor=request.query.get("cursor"), limit=request.number("limit", 100, 1, 1000)
            )
            rows = [
                {
                    "id": u.job,
                    "attempts": u.attempts,
                    "error": u.error,
                    "timestamp": moment(u.since),
                }
                for u in page.items
            ]
            return json_answer({"dead_letters": rows, "cursor": page.cursor})
        if request.method == "POST" and more == ["redrive"]:
            number = await store.redrive(
                api, job=request.query.get("id"), limit=request.number("limit", 1000, 1, 100_000)
            )
            return json_answer({"redriven": number})
        raise _not_allowed(request)


def _goes_on(header: str) -> bool:
    """Whether the service sees it; which unit it works on is for us to say."""
    return header not in DROPPED and not header.startswith(("x-cortex-", "x-descent-"))


def _word(job: Job) -> str:
    """Cortex' word for a request: its own do not know "timed_out", an error says it."""
    if job.open:
        return "in_progress" if job.running else "in_queue"
    return job.status if job.status in WORDS else "failed"


def _error(job: Job, unit: Unit | None) -> str:
    return (unit.error if unit is not None else None) or job.reason or job.status


def _is_json(kind: str) -> bool:
    plain = kind.split(";")[0].strip().lower()
    return plain == "application/json" or plain.endswith("+json")


def _fingerprint(request: Request, body: bytes) -> str:
    digest = hashlib.sha256()
    for part in (request.below, request.raw_query, request.headers.get("content-type", "")):
        digest.update(part.encode() + b"\0")
    digest.update(body)
    return digest.hexdigest()


def _not_allowed(request: Request) -> HttpError:
    return HttpError(
        405,
        "method_not_allowed",
        f"{request.method} {request.below or '/'} is nothing this API has",
    )
