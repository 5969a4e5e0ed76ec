"""Between rows of the tables and records."""

from __future__ import annotations

import json
from typing import Any

from descent.deploy.jobs.store.records import Content, Job, Unit

__all__ = ["JOB", "UNIT", "UNIT_BARE", "clean", "columns_of", "content_of", "job_of", "unit_of"]

JOB = (
    "id, api, kind, version, status, reason, config, created, started, ended, deadline, ttl_s, "
    "timeout_s, attempts, backoff_s, idempotency_key, fingerprint, events, total, running, done, "
    "failed, retried, busy_s, progress, round"
)
_UNIT = (
    "job, idx, state, items, attempts, fence, not_before, lease_until, worker, since, error, code"
)
UNIT = f"{_UNIT}, ref, meta, result_ref, result_meta, data, result_data"
UNIT_BARE = f"{_UNIT}, ref, meta, result_ref, result_meta, NULL, NULL"
ERROR_LENGTH = 8000


def job_of(row: tuple) -> Job:
    """A row of `SELECT {JOB} FROM job`."""
    values = list(row)
    values[6] = json.loads(values[6])
    values[17] = tuple(json.loads(values[17]))
    values[24] = None if values[24] is None else json.loads(values[24])
    return Job(*values)


def unit_of(row: tuple) -> Unit:
    """A row of `SELECT {UNIT} FROM unit`."""
    job, index, state, items, attempts, fence, not_before, until, worker, since, error, code = row[
        :12
    ]
    ref, meta, result_ref, result_meta, data, result_data = row[12:]
    done = state == "done"
    return Unit(
        job, index, state, items, attempts, fence,
        payload=content_of(data, ref, meta),
        result=content_of(result_data, result_ref, result_meta) if done else None,
        error=error, code=code, not_before=not_before, lease_until=until, worker=worker,
        since=since,
    )  # fmt: skip


def content_of(data: Any, ref: str | None, meta: str | None) -> Content:
    """Three columns; PostgreSQL's driver may give a memoryview."""
    return Content(None if data is None else bytes(data), ref, json.loads(meta) if meta else {})


def columns_of(content: Content) -> tuple[bytes | None, str | None, str | None]:
    """The other way."""
    return content.data, content.ref, json.dumps(content.meta) if content.meta else None


def clean(text: str) -> str:
    """Text that either database takes: no NUL, no lone surrogate, not endless."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    half = ERROR_LENGTH // 2
    return text if len(text) <= ERROR_LENGTH else f"{text[:half]} … {text[-half:]}"
