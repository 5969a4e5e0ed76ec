"""The control API described in OpenAPI 3.1, from one table of operations."""

from __future__ import annotations

import re
from typing import Any

from descent.deploy.service.openapi import ERROR

__all__ = ["OPERATIONS", "document"]

# method, path, operation, what it does, query parameters, body properties
OPERATIONS: list[tuple[str, str, str, str, dict[str, str], dict[str, Any] | None]] = [
    ("get", "/-/info", "info", "The node: version, settings, state", {}, None),
    ("get", "/-/apis", "list_apis", "Every API with its state and figures", {}, None),
    (
        "post", "/-/deploy", "deploy",
        "Deploy specs: all are checked before any is applied. 422 where a version could not be "
        "loaded (the last good one goes on)",
        {"force": "boolean", "dry_run": "boolean", "by": "string"},
        {
            "target": {"type": "string"}, "text": {"type": "string"},
            "specs": {"type": "array", "items": {"type": "object"}},
            "folder": {"type": "string"}, "overrides": {"type": "object"},
        },
    ),
    ("get", "/-/apis/{name}", "describe", "One API: spec, replicas, versions, figures", {}, None),
    (
        "delete", "/-/apis/{name}", "delete", "End an API and forget it",
        {"keep_jobs": "boolean", "force": "boolean"}, None,
    ),
    (
        "get", "/-/apis/{name}/versions", "versions", "Versions and what each changed",
        {"limit": "integer"}, None,
    ),
    (
        "post", "/-/apis/{name}/refresh", "refresh", "Load the live version anew and switch to it",
        {}, None,
    ),
    (
        "post", "/-/apis/{name}/rollback", "rollback",
        "Go back to a version; without one: to the good one before",
        {}, {"version": {"type": ["integer", "null"]}},
    ),
    (
        "post", "/-/apis/{name}/promote", "promote", "Give all of a splitter's traffic to one API",
        {"by": "string"}, {"api": {"type": "string"}},
    ),
    (
        "put", "/-/apis/{name}/weights", "set_weights", "Divide a splitter's traffic otherwise",
        {"by": "string"},
        {"weights": {"type": "object", "additionalProperties": {"type": "integer"}}},
    ),
    (
        "get", "/-/apis/{name}/logs", "logs", "Log lines, NDJSON; `follow` goes on as they come",
        {"lines": "integer", "follow": "boolean", "version": "integer", "job": "string"}, None,
    ),
    ("get", "/-/apis/{name}/errors", "errors", "Failed requests, the latest first", {}, None),
    (
        "get", "/-/apis/{name}/series", "series",
        "Each of the last seconds: requests, errors, latency, in flight, queued",
        {"seconds": "integer"}, None,
    ),
    (
        "get", "/-/apis/{name}/decisions", "decisions", "What the autoscaler decided, and why",
        {}, None,
    ),
    ("get", "/-/apis/{name}/jobs", "jobs", "Jobs, the latest first", {"status": "string"}, None),
    ("get", "/-/apis/{name}/jobs/{job}", "job", "One job", {}, None),
    (
        "delete", "/-/apis/{name}/jobs/{job}", "stop_job", "Stop a job; what is done stays done",
        {}, None,
    ),
    ("get", "/-/keys", "list_keys", "API keys, without their secrets", {}, None),
    (
        "post", "/-/keys", "create_key", "Make an API key; its secret is said this once", {},
        {
            "name": {"type": "string"},
            "scopes": {"type": "array", "items": {"type": "string"}},
            "per_s": {"type": "number"},
            "burst": {"type": "integer"},
            "expires_s": {"type": "number"},
        },
    ),
    ("delete", "/-/keys/{id}", "revoke_key", "End an API key", {}, None),
]  # fmt: skip


def document() -> dict[str, Any]:
    """The whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation, summary, query, body in OPERATIONS:
        paths.setdefault(path, {})[method] = _operation(path, operation, summary, query, body)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Descent: control API of a node", "version": "1"},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": ERROR},
        },
    }


def _operation(
    path: str, operation: str, summary: str, query: dict[str, str], body: dict[str, Any] | None
) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    parameters += [{"name": n, "in": "query", "schema": {"type": t}} for n, t in query.items()]
    kind = "application/x-ndjson" if operation == "logs" else "application/json"
    refused = {"$ref": "#/components/schemas/Error"}
    out: dict[str, Any] = {
        "operationId": operation,
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "done", "content": {kind: {"schema": {}}}},
            "4XX": {
                "description": "refused; nothing was changed",
                "content": {"application/json": {"schema": refused}},
            },
        },
    }
    if body is not None:
        schema = {"type": "object", "properties": body}
        out["requestBody"] = {"content": {"application/json": {"schema": schema}}}
        if operation == "deploy":
            out["requestBody"]["content"]["application/yaml"] = {"schema": {"type": "string"}}
    return out
