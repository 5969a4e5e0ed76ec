"""The paths of AsyncAPI, BatchAPI and TaskAPI in OpenAPI: Cortex' contract, and what is ours.

One table an API kind: method, path, query, body, answer. The behaviour is in descent/deploy/jobs/.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descent.deploy.service.openapi import Described

__all__ = ["job_paths"]

_JSON = "application/json"
_TEXT = {"type": "string"}
_COUNT = {"type": "integer"}
_MAYBE = {"type": ["string", "null"]}


def job_paths(
    api: Described, takes: dict[str, Any], answers: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Every path of a job API.

    `takes`: the schema of what the service takes (an AsyncAPI's body; BatchAPI: a list of items).
    `answers(media, schema)` makes an operation's responses.
    """
    media = (api.signature or {}).get("input_type") or _JSON
    table = {"AsyncAPI": _ASYNC, "BatchAPI": _BATCH, "TaskAPI": _TASK}[api.kind]
    paths: dict[str, Any] = {}
    for operation, method, path, summary, query, body, result in table:
        media_out, schema = result if isinstance(result, tuple) else (_JSON, result)
        responses = _ranged(answers(media_out, schema))
        if "dryRun" in query:
            responses["200"]["content"]["text/plain"] = {"schema": _TEXT}
        made: dict[str, Any] = {
            "operationId": f"{api.name}_{operation}",
            "summary": summary,
            "tags": [api.name],
            "parameters": _parameters(path, query),
            "responses": responses,
        }
        if body == "input":
            content = {media: {"schema": takes}}
            made["requestBody"] = {"required": True, "content": content}
        elif body is not None:
            made["requestBody"] = {"content": {_JSON: {"schema": body}}}
        if method == "post" and path == "":
            made["parameters"].append(_KEY)
        paths.setdefault(api.endpoint + path, {})[method] = made
    return paths


def _parameters(path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _PLACES[name]}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    for name, schema in query.items():
        plain = name.rstrip("!")
        made.append({"name": plain, "in": "query", "required": plain != name, "schema": schema})
    return made


def _ranged(responses: dict[str, Any]) -> dict[str, Any]:
    """Jobs have further refusals: 409 not now, 410 gone, 422 another request's key, 507 full."""
    refused = {"$ref": "#/components/responses/BadInput"}
    return responses | {"4XX": refused, "5XX": {"$ref": "#/components/responses/Busy"}}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def _list(item: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, **more}


_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": False, "schema": _TEXT,
    "description": "The same key again is answered with the job it made the first time",
}  # fmt: skip
_PLACES = {
    "id": {"type": "string", "pattern": "^[0-9a-f]{20}$"},
    "number": {"type": "integer", "minimum": 0},
}
_WAIT = {
    "type": "integer",
    "minimum": 0,
    "maximum": 300,
    "description": "Seconds to wait for the end",
}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": 1000}
_PAGE = {"cursor": _TEXT, "limit": _LIMIT}
_SAID = _object("message", message=_TEXT)
_NEW = _object("id", id=_TEXT)
_WORDS = ["in_queue", "in_progress", "completed", "failed", "cancelled"]
_REQUEST = _object(
    "id status",
    id=_TEXT,
    status={"enum": _WORDS},
    result={"description": "What the service answered, where that is JSON and not large"},
    result_type=_TEXT,
    result_url=_TEXT,
    error=_TEXT,
    timestamp=_TEXT,
    attempts=_COUNT,
    progress={},
)
_JOB_CODES = [
    "pending", "enqueuing", "running", "enqueue_failed", "completed_with_failures", "succeeded",
    "unexpected_error", "worker_error", "worker_oom", "timed_out", "stopped", "unknown",
]  # fmt: skip
_JOB = _object(
    "job_id api_name kind", job_id=_TEXT, api_name=_TEXT, kind=_TEXT, workers=_COUNT,
    config={"type": ["object", "null"]}, api_id=_TEXT, timeout={"type": ["integer", "null"]},
    created_time=_MAYBE,
)  # fmt: skip
_STATUS = _object(
    "job_status",
    job_status=_object("job_id status", job_id=_TEXT, status={"enum": _JOB_CODES}, reason=_MAYBE),
    metrics=_object("", succeeded=_COUNT, failed=_COUNT, avg_time_per_batch={"type": "number"}),
    endpoint=_TEXT,
)
_JOBS = _object("jobs", jobs=_list(_object("job_id status", job_id=_TEXT)), cursor=_MAYBE)
_DEAD = _object("dead_letters", dead_letters=_list({"type": "object"}), cursor=_MAYBE)
_POSITIVE = {"type": "integer", "minimum": 1}
_FILES = {
    "type": "object",
    "properties": {
        "paths": _list(_TEXT, minItems=1, description="s3_paths is read, too"),
        "includes": _list(_TEXT),
        "excludes": _list(_TEXT),
        "batch_size": _POSITIVE,
    },
    "required": ["paths", "batch_size"],
    "additionalProperties": False,
}
_SUBMISSION = {
    "type": "object",
    "description": "One of item_list, file_path_lister, delimited_files says what there is to do",
    "properties": {
        "workers": _POSITIVE,
        "timeout": {"type": ["integer", "null"], "minimum": 1, "description": "seconds"},
        "config": {"type": ["object", "null"]},
        "item_list": {
            "type": "object",
            "properties": {"items": _list({}, minItems=1), "batch_size": _POSITIVE},
            "required": ["items", "batch_size"],
            "additionalProperties": False,
        },
        "file_path_lister": _FILES,
        "delimited_files": _FILES,
        "sqs_dead_letter_queue": _object(
            "arn max_receive_count", arn=_TEXT, max_receive_count=_POSITIVE
        ),
        "attempts": {"type": ["integer", "null"], "minimum": 1, "maximum": 100},
        "retry_backoff_s": {"type": ["number", "null"], "minimum": 0, "maximum": 86_400},
    },
    "required": ["workers"],
    "oneOf": [
        {"required": [name]} for name in ("item_list", "file_path_lister", "delimited_files")
    ],
    "additionalProperties": False,
}
_TASK_BODY = {
    "type": "object",
    "properties": {
        "timeout": {"type": ["integer", "null"], "minimum": 1, "description": "seconds"},
        "config": {"type": ["object", "null"]},
        "workers": {"const": 1},
    },
    "additionalProperties": False,
}


def _or_new(schema: dict[str, Any]) -> dict[str, Any]:
    """A POST below the API whose first part is no id is a request to the service's own path."""
    return {"anyOf": [schema, _NEW]}


_NDJSON = ("application/x-ndjson", _TEXT)
_ANY = ("*/*", {})

# operation, method, path, summary, query ("!": required), body, answer
_Row = tuple[str, str, str, str, dict[str, Any], Any, Any]
_ASYNC: list[_Row] = [
    ("submit", "post", "", "Accept a request; it is answered later", {}, "input", _NEW),
    ("list", "get", "", "Requests, the newest first", {"status": _TEXT, **_PAGE}, None,
     _object("requests", requests=_list(_object("id status", id=_TEXT)), cursor=_MAYBE)),
    ("get", "get", "/{id}", "A request's status, and its result", {"wait": _WAIT}, None, _REQUEST),
    ("cancel_or_forget", "delete", "/{id}", "Cancel it; or remove one that has ended", {}, None,
     _SAID),
    ("result", "get", "/{id}/result", "The result, as the service answered it", {"wait": _WAIT},
     None, _ANY),
    ("cancel", "post", "/{id}/cancel", "Cancel it", {}, None, _or_new(_SAID)),
    ("retry", "post", "/{id}/retry", "Do it again", {}, None, _or_new(_REQUEST)),
    ("dead_letters", "get", "/dead-letters", "Requests that failed every attempt", _PAGE, None,
     _DEAD),
    ("redrive", "post", "/dead-letters/redrive", "Do those again", {"id": _TEXT}, None,
     _object("redriven", redriven=_COUNT)),
]  # fmt: skip
_JOB_ID = {"jobID!": _TEXT}
_BATCH: list[_Row] = [
    ("submit", "post", "", "Begin a job", {"dryRun": {"type": "boolean"}}, _SUBMISSION, _JOB),
    ("get", "get", "", "A job's status; without jobID every job",
     {"jobID": _TEXT, "wait": _WAIT, "status": _TEXT, **_PAGE}, None, {"anyOf": [_STATUS, _JOBS]}),
    ("stop", "delete", "", "Stop a job", _JOB_ID, None, _SAID),
    ("results", "get", "/results", "Results in order, a line each",
     {**_JOB_ID, "per": {"enum": ["item", "batch"]}, "from": {"type": "integer", "minimum": 0}},
     None, _NDJSON),
    ("result", "get", "/results/{number}", "One batch's result", _JOB_ID, None, _ANY),
    ("dead_letters", "get", "/dead-letters", "Batches that failed every attempt",
     {**_JOB_ID, **_PAGE}, None, _DEAD),
    ("retry", "post", "/retry", "Do what failed again", _JOB_ID, None, _STATUS),
]  # fmt: skip
_TASK: list[_Row] = [
    ("submit", "post", "", "Run the task", {}, _TASK_BODY, _JOB),
    ("get", "get", "", "A job's status; without jobID every job",
     {"jobID": _TEXT, "wait": _WAIT, "status": _TEXT, **_PAGE}, None, {"anyOf": [_STATUS, _JOBS]}),
    ("stop", "delete", "", "Stop a job", _JOB_ID, None, _SAID),
    ("logs", "get", "/logs", "What it has written", {**_JOB_ID, "follow": {"type": "boolean"}},
     None, ("text/plain", _TEXT)),
    ("result", "get", "/results", "What the function returned", _JOB_ID, None, {}),
    ("retry", "post", "/retry", "Run it again", _JOB_ID, None, _STATUS),
]  # fmt: skip
