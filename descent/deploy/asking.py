"""Ask an ASGI application in this process: how jobs, warm-up and health checks reach a service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from descent.deploy.pool import Context

__all__ = ["Answer", "ask"]


@dataclass(frozen=True)
class Answer:
    """A whole answer; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: ASGIApp,
    path: str,
    body: bytes = b"",
    *,
    context: Context,
    method: str = "POST",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    root_path: str = "",
    query: str = "",
) -> Answer:
    """Call `app` as a server would and collect its answer.

    Cancelling the call cancels the work, as a client that went away does. An exception of the
    application is the caller's.
    """
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    raw.append((b"content-length", str(len(body)).encode()))
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": root_path + path,
        "raw_path": (root_path + path).encode(),
        "root_path": root_path,
        "query_string": query.encode(),
        "headers": raw,
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {"request_id": context.request_id},
        "descent": context,
    }
    given = False
    status, answered, parts = 500, {}, []

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.get_running_loop().create_future()  # those who watch for the client's end
        raise AssertionError("never set")

    async def send(message: Message) -> None:
        nonlocal status, answered
        if message["type"] == "http.response.start":
            status = message["status"]
            answered = {
                k.decode("latin-1").lower(): v.decode("latin-1") for k, v in message["headers"]
            }
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, answered, b"".join(parts))
