"""Around every request: an id, a size limit, host and key checks, security headers, metrics.

Plain ASGI (no per-request task, streams pass through untouched). The page's policy is
`default-src 'self'`: nothing from elsewhere is loaded, no inline script runs.
"""

from __future__ import annotations

import hmac
import logging
import re
import time
import uuid
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from descent.serve.errors import ApiError
from descent.serve.metrics import Metrics

__all__ = ["Surroundings"]

log = logging.getLogger("descent.serve.access")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_GUARDED = ("/v1/", "/explain", "/infill", "/tokenize", "/detokenize", "/apply-template")
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


class Surroundings:
    """The outermost layer of the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        max_body_bytes: int,
        api_key: str | None,
        allowed_hosts: Collection[str] | None,
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes
        self.api_key = api_key
        self.allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _ID.fullmatch(asked) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _finish_headers(MutableHeaders(raw=message["headers"]), request_id)
            await send(message)

        self.metrics.http_in_flight.inc()
        try:
            try:
                self._admit(scope, headers)
                await self.app(scope, self._limited(receive), sending)
            except ApiError as error:
                await _answer(error)(scope, receive, sending)
            except Exception:
                log.exception(
                    "%s %s failed, request %s", scope["method"], scope["path"], request_id
                )
                if not status:  # nothing sent yet; otherwise the connection just ends
                    error = ApiError(500, "The server made a mistake; its log says which.")
                    await _answer(error)(scope, receive, sending)
        finally:
            self.metrics.http_in_flight.dec()
            self._record(scope, status or 499, time.perf_counter() - started, request_id)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.allowed_hosts is not None and name not in self.allowed_hosts:
            # A page elsewhere whose name was made to resolve to this machine (DNS rebinding).
            raise ApiError(421, f"This server does not answer for the host '{host}'.")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_body_bytes:
            raise self._too_large()
        if self.api_key is not None and scope["path"].startswith(_GUARDED):
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self.api_key.encode()):
                raise ApiError(
                    401,
                    "Incorrect API key: send 'Authorization: Bearer …'.",
                    code="invalid_api_key",
                )

    def _too_large(self) -> ApiError:
        limit = self.max_body_bytes
        return ApiError(413, f"The body is larger than {limit:,} bytes.", code="body_too_large")

    def _limited(self, receive: Receive) -> Receive:
        """Counts a body that does not announce its length."""
        received = 0

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise self._too_large()
            return message

        return receiving

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        # The route's template, never the path: an attacker chooses paths, and each is a series.
        handler = getattr(scope.get("route"), "path", None)
        if handler is None:
            handler = getattr(scope.get("endpoint"), "__name__", "static" if status < 400 else "")
        handler = handler or "unknown"
        self.metrics.http_requests.labels(handler, scope["method"], str(status)).inc()
        self.metrics.http_duration_s.labels(handler).observe(seconds)
        log.info(
            "%s %s %d %.1f ms %s", scope["method"], scope["path"], status, seconds * 1e3, request_id
        )


def _answer(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body, error.status, headers=error.headers)


def _finish_headers(headers: MutableHeaders, request_id: str) -> None:
    headers["x-request-id"] = request_id
    headers.setdefault("content-security-policy", _POLICY)
    headers.setdefault("x-content-type-options", "nosniff")
    headers.setdefault("referrer-policy", "no-referrer")
