"""Source of a client of one API, with its types: one file that needs httpx and nothing of ours.

    client = Pricer()                      # knows the address it was made for
    client({"rooms": 3})                   # → float, as the service is annotated

Refusals (429, 503) are tried again after the Retry-After that they carry; a request that may have
been taken is never sent twice by itself. An AsyncAPI's client submits and waits; a job API's
submits, waits and stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from descent.deploy.service.client_types import Types, identifier

__all__ = ["client_source"]

_PARTS = files("descent.deploy.service") / "client_parts"
_JSON = "application/json"


def client_source(
    name: str, url: str, signature: Mapping[str, Any] | None, *, kind: str = "RealtimeAPI"
) -> str:
    """The Python file.

    Args:
        name: the API's; the class is called after it.
        url: the API's whole address, which the client uses unless told otherwise.
        signature: a pool's; None: any JSON.
        kind: the API's kind.
    """
    known = dict(signature or {})
    cls = "".join(part[:1].upper() + part[1:] for part in identifier(name, "Api").split("_"))
    types = Types({cls, "Connection", "ApiError"})
    body = _jobs(kind) if kind in ("BatchAPI", "TaskAPI") else _calls(known, types, kind)
    summary = " ".join(str(known.get("summary") or f"The API {name}.").split())
    head = f"Client of the {kind} {name!r}: {summary} Written by Descent for {url}."
    classes = types.source()
    return "\n".join(
        [
            f"{head!r}",
            "",
            _part("connection"),
            *(["", classes, ""] if classes else [""]),
            "",
            f"class {cls}(Connection):",
            f"    {summary!r}",
            "",
            f"    address = {url!r}",
            "",
            body,
            "",
        ]
    )


def _part(name: str) -> str:
    return (_PARTS / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.split("\n"))


def _jobs(kind: str) -> str:
    return _indented(_part("jobs") if kind == "BatchAPI" else _part("tasks"))


def _calls(known: dict[str, Any], types: Types, kind: str) -> str:
    """One method for the API and one for each endpoint."""
    if kind == "AsyncAPI":
        takes, gives = _types(known, types, "Input", "Output")
        return _indented(_part("asynchronous")).replace("TAKES", takes).replace("GIVES", gives)
    made = [_method("__call__", "", known, types)]
    seen = {"__call__", "close", "request", "events"}
    for endpoint in known.get("endpoints") or ():
        name = identifier(endpoint["path"], "path").lower()
        while name in seen:
            name += "_"
        seen.add(name)
        verb = endpoint["methods"][0]
        made.append(_method(name, endpoint["path"], endpoint, types, verb=verb))
    return "\n\n".join(made)


def _types(known: Mapping[str, Any], types: Types, given: str, answer: str) -> tuple[str, str]:
    takes = types.of(known.get("input") or {}, given)
    gives = types.of(known.get("output") or {}, answer)
    takes = takes if known.get("input_type", _JSON) == _JSON else "bytes"
    bodies = (_JSON, "text/event-stream", None)
    return takes, gives if known.get("output_type", _JSON) in bodies else "bytes"


def _method(
    name: str, path: str, known: Mapping[str, Any], types: Types, verb: str = "POST"
) -> str:
    """One call, as source."""
    shown = "" if name == "__call__" else name.title().replace("_", "")
    schema = known.get("input") or {}
    spread = known.get("spread") and _named(schema)
    plain = {**known, "input": {}} if spread or verb == "GET" else known
    takes, gives = _types(plain, types, f"{shown}Input", f"{shown}Output")
    arguments, value = ["self", f"value: {takes}"], "value"
    if spread:
        arguments, value = _spread(schema, types)
    if verb == "GET":
        arguments, value = ["self"], "None"
    sent = f"{verb!r}, {path!r}, {value}, {known.get('input_type') or _JSON!r}"
    if known.get("stream"):
        item = "json" if known.get("output_type") == "text/event-stream" else "bytes"
        lines = [f"def {name}({', '.join(arguments)}) -> Iterator[{gives}]:"]
        lines.append(f"    return self.events({sent}, {item!r})")
    else:
        read = ".json()" if known.get("output_type", _JSON) == _JSON else ".content"
        lines = [f"def {name}({', '.join(arguments)}) -> {gives}:"]
        lines.append(f"    return self.request({sent}){read}")
    if summary := " ".join(str(known.get("summary") or "").split()):
        lines.insert(1, f"    {summary!r}")
    return _indented("\n".join(lines))


def _named(schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties")
    return isinstance(properties, dict) and all(
        identifier(key, "x") == key and key != "self" for key in properties
    )


def _spread(schema: Mapping[str, Any], types: Types) -> tuple[list[str], str]:
    """Parameters by name; those with a default are sent only if given."""
    required = set(schema.get("required") or ())
    arguments, always, perhaps = ["self", "*"], [], []
    for key, part in schema["properties"].items():
        tp = types.of(part, key.title(), dict(schema))
        arguments.append(f"{key}: {tp}" if key in required else f"{key}: {tp} | None = None")
        (always if key in required else perhaps).append(f"{key!r}: {key}")
    value = f"{{{', '.join(always)}}}"
    if perhaps:
        value = f"{value} | {{k: v for k, v in {{{', '.join(perhaps)}}}.items() if v is not None}}"
    return arguments, value
