"""The HTTP of job APIs: one request, taken apart, and the ways to answer.

A kind is asked with (request) → Answer; what it raises becomes an answer here:
HttpError as it says, Gone → 404, BadCursor → 400, Conflict → 422, a full disk → 507, a silent
database → 503.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.jobs.store import BadCursor, Conflict, Gone, StoreFull, StoreUnavailable
from descent.deploy.pool import Context

__all__ = ["Request", "application", "json_answer", "lines_answer", "moment"]


LONGEST_KEY = 255

FULL = "there is no room to keep this: nothing of it was accepted; the same works when there is"
AWAY = "the job store does not answer; whether this was accepted is not known: ask again"
log = logging.getLogger("descent.deploy.jobs")


class Request:
    """`tail` is the path below the API's endpoint, without slashes at its ends."""

    def __init__(self, scope: Scope, receive: Receive, limit_bytes: int):
        self.method: str = scope["method"]
        self.endpoint: str = scope.get("root_path", "").rstrip("/")
        self.below: str = scope["path"][len(self.endpoint) :]
        self.tail = self.below.strip("/")
        self.query = QueryParams(scope.get("query_string", b""))
        self.raw_query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers = Headers(scope=scope)
        self.context: Context = scope.get("descent") or Context("")
        self._receive, self._limit = receive, limit_bytes

    async def body(self) -> bytes:
        """The whole body. Raises `HttpError` 413."""
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HttpError(499, "client_closed", "the client went away before it had sent all")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limit:
                raise HttpError(413, "too_large", f"a body may have {self._limit} bytes")
            if not message.get("more_body", False):
                return b"".join(parts)

    @property
    def key(self) -> str | None:
        """The Idempotency-Key; an empty one is none. Raises `HttpError` 400."""
        key = self.headers.get("idempotency-key") or None
        if key is not None and len(key) > LONGEST_KEY:
            raise HttpError(
                400,
                "invalid_key",
                f"an Idempotency-Key has at most {LONGEST_KEY} characters, not {len(key)}",
                field="Idempotency-Key",
            )
        return key

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number of the query. Raises `HttpError` 400."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise HttpError(
                400, "invalid_query", f"{name}={text!r} is not from {low} to {high}", field=name
            )
        return int(text)

    def flag(self, name: str) -> bool:
        """`?dryRun=true`. Raises `HttpError` 400 for what is neither true nor false."""
        text = self.query.get(name, "false").lower()
        if text not in ("true", "false"):
            raise HttpError(400, "invalid_query", f"{name} is true or false", field=name)
        return text == "true"


def application(
    answer: Callable[[Request], Awaitable[Response]], limit_bytes: Callable[[], int]
) -> ASGIApp:
    """The ASGI application around a kind's `answer`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, limit_bytes())
        try:
            try:
                response = await answer(request)
            except BadCursor as error:
                raise HttpError(400, "invalid_query", str(error), field="cursor") from error
            except Gone as error:
                raise HttpError(404, "not_found", str(error)) from error
            except Conflict as error:
                raise HttpError(
                    422, "idempotency_key_reused", str(error), field="Idempotency-Key"
                ) from error
            except StoreFull as error:
                log.error("%s", error)  # which disk, where: not for clients
                raise HttpError(507, "store_full", FULL) from error
            except StoreUnavailable as error:
                log.error("%s", error)
                raise HttpError(503, "store_unavailable", AWAY, retry_after_s=1) from error
        except HttpError as error:
            await send_error(send, error, request.context.request_id or None)
            return
        await response(scope, receive, send)

    return app


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    return Response(body, status, headers, "application/json")


def lines_answer(lines: AsyncIterator[bytes], media_type: str = "application/x-ndjson") -> Response:
    """A stream; each piece is sent as it comes."""
    return StreamingResponse(lines, media_type=media_type)


def moment(at: float | None) -> str | None:
    """Unix seconds as RFC 3339 ("2026-11-26T04:15:32.123Z")."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
