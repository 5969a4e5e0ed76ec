"""APIs described in OpenAPI 3.1: one of them, or all of a node in one document.

    signature → its operations → paths "/sorter", "/sorter/top" …; schemas "sorter.House" …

Cortex' contract for AsyncAPI, BatchAPI and TaskAPI stands in job_paths.py. Reference: the OpenAPI
Specification 3.1 (JSON Schema 2020-12). Left out: streams' items have no place in 3.1; they stand
under `x-item-schema`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from descent import __version__
from descent.deploy.service.job_paths import job_paths
from descent.deploy.service.refs import hoisted, renamed

__all__ = ["ERROR", "Described", "document"]

_JSON = "application/json"
_COMPONENTS = "#/components/schemas/"


@dataclass(frozen=True)
class Described:
    """An API as the document needs it; `signature`: a pool's, None while nothing is loaded."""

    name: str
    kind: str
    endpoint: str
    signature: Mapping[str, Any] | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)


def document(
    apis: Iterable[Described],
    *,
    title: str = "Descent",
    server: str | None = None,
    keys: bool = False,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The OpenAPI document of these APIs.

    Args:
        title: the document's.
        server: the URL that paths are relative to; None: where the document lies.
        keys: requests need an API key (a bearer token).
        more: another document (the control API's) whose paths and components are added.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": ERROR}
    for api in apis:
        own, parts = _paths(api)
        paths |= own
        schemas |= parts
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "responses": _RESPONSES, "headers": _HEADERS},
    }
    if server is not None:
        made["servers"] = [{"url": server}]
    if keys:
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}]
    return _joined(made, more) if more else made


def _paths(api: Described) -> tuple[dict[str, Any], dict[str, Any]]:
    signature = api.signature or {}
    prefix = f"{api.name}."
    if api.kind in ("AsyncAPI", "BatchAPI", "TaskAPI"):
        takes, parts = hoisted(dict(signature.get("input") or {}), f"{prefix}in.")
        return job_paths(api, takes, _answers), parts
    if signature.get("paths"):
        return _of_application(api, signature, prefix)
    if signature.get("input_type") == "*/*" and not signature.get("endpoints"):
        return {api.endpoint: {"summary": "Answered by the application itself"}}, {}
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    here = {"path": "", "methods": ["POST"], **signature}
    for each in [here, *signature.get("endpoints", ())]:
        for method in each["methods"]:
            name = f"{api.name}{each['path'].replace('/', '_')}"
            operation, parts = _operation(each, f"{prefix}{each['path'][1:]}", method)
            operation |= {"operationId": f"{name}_{method.lower()}", "tags": [api.name]}
            paths.setdefault(api.endpoint + each["path"], {})[method.lower()] = operation
            schemas |= parts
    return paths, schemas


def _operation(
    signature: Mapping[str, Any], prefix: str, method: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    given, in_parts = hoisted(dict(signature.get("input") or {}), f"{prefix}in.")
    answer, out_parts = hoisted(dict(signature.get("output") or {}), f"{prefix}out.")
    examples = signature.get("examples") or []
    operation: dict[str, Any] = {
        "responses": _answers(signature.get("output_type") or _JSON, answer),
    }
    if summary := signature.get("summary"):
        operation["summary"] = summary
    if method not in ("GET", "HEAD", "DELETE"):
        media: dict[str, Any] = {"schema": given}
        if examples:
            media["examples"] = {f"{i}": {"value": value} for i, value in enumerate(examples[:3])}
        content = {signature.get("input_type") or _JSON: media}
        operation["requestBody"] = {"required": True, "content": content}
    return operation, in_parts | out_parts


def _answers(media: str, schema: dict[str, Any], status: str = "200") -> dict[str, Any]:
    """What an operation may answer: its result, and the errors that are ours."""
    body: dict[str, Any] = {"schema": schema}
    content = {media: body}
    if media == "text/event-stream":
        content = {
            media: {"schema": _event(schema), "x-item-schema": schema},
            "application/x-ndjson": {"schema": {"type": "string"}, "x-item-schema": schema},
            _JSON: {"schema": {"type": "array", "items": schema}},
        }
    headers = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
    made: dict[str, Any] = {
        status: {"description": "The answer", "headers": headers, "content": content}
    }
    return made | {
        code: {"$ref": f"#/components/responses/{name}"}
        for code, name in [
            ("400", "BadInput"), ("404", "Nothing"), ("405", "Nothing"), ("413", "TooLarge"),
            ("429", "Busy"), ("500", "Failed"), ("503", "Busy"), ("504", "Late"),
        ]
    }  # fmt: skip


def _event(item: dict[str, Any]) -> dict[str, Any]:
    """One server-sent event, as OpenAPI 3.2 describes a stream: the item is the event's data."""
    data = {"type": "string", "contentMediaType": _JSON, "contentSchema": item}
    properties = {"event": {"type": "string"}, "data": data}
    return {"type": "object", "properties": properties, "required": ["data"]}


def _of_application(
    api: Described, signature: Mapping[str, Any], prefix: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The paths of an application that describes itself, below the API's."""

    def to(ref: str) -> str:
        return ref.replace(_COMPONENTS, f"{_COMPONENTS}{prefix}", 1)

    paths: dict[str, Any] = {}
    for path, operations in signature["paths"].items():
        made = copy.deepcopy(renamed(operations, to))
        for method, operation in made.items():
            if isinstance(operation, dict) and "responses" in operation:
                # Ids are unique in a document; those of one application are so already.
                name = operation.get("operationId") or f"{method}_{path}"
                operation |= {"operationId": f"{api.name}_{name}", "tags": [api.name]}
        paths[api.endpoint + (path if path != "/" else "")] = made
    schemas = {
        f"{prefix}{name}": renamed(part, to)
        for name, part in (signature.get("components") or {}).items()
    }
    if signature.get("input"):  # the short form, at the API itself
        operation, parts = _operation(signature, prefix, "POST")
        operation |= {"operationId": f"{api.name}_post", "tags": [api.name]}
        paths.setdefault(api.endpoint, {})["post"] = operation
        schemas |= parts
    return paths, schemas


def _joined(made: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Another document's paths and components; its security goes with its operations."""
    for path, operations in more.get("paths", {}).items():
        kept = copy.deepcopy(operations)
        for operation in kept.values():
            if isinstance(operation, dict) and "security" in more:
                operation.setdefault("security", more["security"])
        made["paths"].setdefault(path, kept)
    for kind, parts in more.get("components", {}).items():
        held = made["components"].setdefault(kind, {})
        for name, part in parts.items():
            held.setdefault(name, part)
    return made


ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "code": {"type": ["string", "null"], "description": "A word programs may rely on"},
                "message": {"type": "string"},
                "field": {"type": "string", "description": "The part of the input at fault"},
                "request_id": {"type": "string"},
            },
        }
    },
}
_HEADERS = {
    "RequestId": {
        "description": "The request's id: yours, if you sent one; logs bear it",
        "schema": {"type": "string"},
    },
    "RetryAfter": {
        "description": "Seconds after which there may be room",
        "schema": {"type": "integer", "minimum": 1},
    },
}


def _response(description: str, *, retry: bool = False) -> dict[str, Any]:
    headers = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
    if retry:
        headers["retry-after"] = {"$ref": "#/components/headers/RetryAfter"}
    content = {_JSON: {"schema": {"$ref": f"{_COMPONENTS}Error"}}}
    return {"description": description, "headers": headers, "content": content}


_RESPONSES = {
    "BadInput": _response("The input is wrong: `field` says where"),
    "Nothing": _response("There is nothing at this path, or not by this method"),
    "TooLarge": _response("The body is larger than the API takes"),
    "Failed": _response("The service failed; its log says why, under the request's id"),
    "Busy": _response("Too many requests, or the service is not ready", retry=True),
    "Late": _response("The time limit was over before the answer was there; the work is stopped"),
}
