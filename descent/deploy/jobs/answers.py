"""The JSON of batch and task jobs: Cortex' fields with Cortex' meanings, then ours."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from descent.deploy.jobs.http import Request, moment
from descent.deploy.jobs.room import Room
from descent.deploy.jobs.store import Job, Unit

__all__ = ["batch_status", "dead_letters", "job_row", "result_lines", "submitted", "task_status"]

PAGE = 500


def submitted(room: Room, job: Job) -> dict[str, Any]:
    """What a submission is answered with. `sqs_url` is Cortex'; here it is where dead letters are
    read."""
    said: dict[str, Any] = {
        "job_id": job.id,
        "api_name": job.api,
        "kind": job.kind,
        "workers": job.config.get("workers", 1),
        "config": job.config.get("config", {}),
        "api_id": f"{job.api}-{job.version}",
    }
    if job.kind == "BatchAPI":
        said["sqs_url"] = f"{room.endpoint}/dead-letters?jobID={job.id}"
        said["sqs_dead_letter_queue"] = job.config.get("sqs_dead_letter_queue")
    said["timeout"] = job.config.get("timeout")
    said["created_time"] = moment(job.created)
    return said


def job_row(job: Job) -> dict[str, Any]:
    """A job in a list."""
    return {
        "job_id": job.id,
        "status": job.status,
        "total": job.total,
        "succeeded": job.done,
        "failed": job.failed,
        "created_time": moment(job.created),
        "end_time": moment(job.ended),
    }


def batch_status(room: Room, job: Job) -> dict[str, Any]:
    """GET ?jobID= of a BatchAPI."""
    status = {
        **submitted(room, job),
        "status": job.status,
        "batches_in_queue": job.waiting,
        "total_batch_count": job.total,
        "start_time": moment(job.started),
        "end_time": moment(job.ended),
        "reason": job.reason,
    }
    if job.open and job.status == "running":
        status["worker_counts"] = _workers(room, job)
        eta_s = job.eta_s(room.store.now())
        status["eta_seconds"] = None if eta_s is None else round(eta_s, 1)
    metrics: dict[str, Any] = {"succeeded": job.done, "failed": job.failed + job.retried}
    if job.done:
        metrics["avg_time_per_batch"] = job.busy_s / job.done
    return {"job_status": status, "endpoint": room.endpoint, "metrics": metrics, **_spec(room)}


def task_status(room: Room, job: Job, unit: Unit | None) -> dict[str, Any]:
    """GET ?jobID= of a TaskAPI."""
    status = {
        **submitted(room, job),
        "status": job.status,
        "start_time": moment(job.started),
        "end_time": moment(job.ended),
        "reason": job.reason,
        "attempts": unit.attempts if unit is not None else 0,
        "progress": job.progress,
    }
    return {"job_status": status, "endpoint": room.endpoint, **_spec(room)}


def _workers(room: Room, job: Job) -> dict[str, int]:
    number = int(job.config.get("workers", 1))
    ready = room.calls.ready() > 0
    running = min(number, job.running) if ready else 0
    idle = number - running if ready else 0
    # As Cortex: a worker that found the queue empty has succeeded.
    over = 0 if job.waiting else idle
    return {
        "pending": 0 if ready else number,
        "initializing": 0,
        "running": running + idle - over,
        "succeeded": over,
        "failed": 0,
        "stalled": 0,
    }


def _spec(room: Room) -> dict[str, Any]:
    return {"api_spec": room.spec.model_dump(mode="json")}


async def result_lines(room: Room, job: Job, per_item: bool, first: int) -> AsyncIterator[bytes]:
    """One line of JSON per batch (or per item, where the result is a list as long as the batch)."""
    cursor, item = None, 0
    while True:
        page = await room.store.units(job.id, cursor=cursor, limit=PAGE)
        lines = []
        for unit in page.items:
            if unit.index >= first:
                line = await _result(room, unit)
                rows = _items(line, unit, item) if per_item else [line]
                lines += [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            item += unit.items
        yield "".join(lines).encode("utf-8", "backslashreplace")
        cursor = page.cursor
        if cursor is None:
            return


async def _result(room: Room, unit: Unit) -> dict[str, Any]:
    line: dict[str, Any] = {"batch": unit.index, "status": _word(unit.state)}
    if unit.error is not None and unit.state != "done":
        line["error"] = unit.error
    if unit.result is None:
        return line
    try:
        data = await room.contents.read(unit.result)
    except FileNotFoundError:
        return {**line, "error": "the result's file has been removed"}
    kind = unit.result.meta.get("type", "")
    if "json" in kind:
        try:
            return {**line, "result": json.loads(data)}
        except ValueError:
            pass
    return {**line, "type": kind, "result_base64": base64.b64encode(data).decode()}


def _items(line: dict[str, Any], unit: Unit, first: int) -> list[dict[str, Any]]:
    results = line.pop("result", None)
    if not isinstance(results, list) or len(results) != unit.items:
        spread = {"result": results} if results is not None else {}
        return [{"item": first + i, **line, **spread} for i in range(unit.items)]
    return [{"item": first + i, **line, "result": result} for i, result in enumerate(results)]


def _word(state: str) -> str:
    words = {"done": "succeeded", "dead": "failed", "cancelled": "stopped", "leased": "running"}
    return words.get(state, "in_queue" if state in ("held", "queued") else state)


async def dead_letters(room: Room, request: Request) -> dict[str, Any]:
    """Of one job (with those refused for good), or of the whole API."""
    limit, cursor = request.number("limit", 100, 1, 1000), request.query.get("cursor")
    if id := request.query.get("jobID"):
        job = await room.job(id)
        page = await room.store.units(job.id, state=("dead", "failed"), cursor=cursor, limit=limit)
    else:
        page = await room.store.dead_letters(room.api, cursor=cursor, limit=limit)
    rows = []
    for unit in page.items:
        body = await room.contents.read(unit.payload)
        rows.append(
            {
                "job_id": unit.job,
                "batch": unit.index,
                "attempts": unit.attempts,
                "error": unit.error,
                "timestamp": moment(unit.since),
                "items": json.loads(body) if body else None,
            }
        )
    return {"dead_letters": rows, "cursor": page.cursor}
