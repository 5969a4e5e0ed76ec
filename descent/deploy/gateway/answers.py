"""Small whole answers of the gateway's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.types import Scope, Send

from descent.deploy.errors import HttpError

__all__ = ["only", "send_json", "send_whole"]


async def send_whole(
    send: Send, status: int, body: bytes, content_type: bytes, headers: Sequence = ()
) -> None:
    """Status, headers and body at once."""
    head = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, value: Any, status: int = 200, headers: Sequence = ()) -> None:
    """`value` as JSON."""
    body = json.dumps(value, ensure_ascii=False).encode()
    await send_whole(send, status, body, b"application/json", headers)


def only(scope: Scope, *methods: str) -> None:
    """Raises `HttpError` 405 for other methods than these."""
    if scope["method"] not in methods:
        raise HttpError(
            405,
            "method_not_allowed",
            f"{scope['path']} does not answer {scope['method']}, only {', '.join(methods)}",
            headers=((b"allow", ", ".join(methods).encode()),),
        )
