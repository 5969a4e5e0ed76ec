"""The way of one request through a route.

    choose a version → guard → size → admission → application → counted, logged

The way is straight for a request that is let in at once: no task, no timer, no copy of its body.
Reference: Cortex' proxy; ASGI 3.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from descent.deploy.errors import HttpError
from descent.deploy.gateway.access import access_line
from descent.deploy.gateway.exchange import SAID_BYTES, Body, Exchange, too_large
from descent.deploy.gateway.heads import Head
from descent.deploy.gateway.metrics import ApiMetrics
from descent.deploy.gateway.routes import Choice, Route
from descent.deploy.gateway.served import Served
from descent.deploy.gateway.shadows import Shadows
from descent.deploy.gateway.sweeping import Sweeper
from descent.deploy.pool import Context

if TYPE_CHECKING:
    from descent.deploy.gateway.app import Gateway

__all__ = ["Passage"]

log = logging.getLogger("descent.deploy.gateway")
monotonic = time.monotonic


class Passage:
    """`await passage(route, scope, receive, send)` answers one HTTP request whose path begins with
    the route's endpoint."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._sweeper = Sweeper()
        self._shadows = Shadows(gateway.metrics)

    async def __call__(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        began = monotonic()
        head = Head(scope["headers"])
        context = Context(head.request_id, route.name, trace=head.trace)
        exchange = Exchange(context, send)
        metrics = self._gateway.metrics.api(route.name, route.kind)
        metrics.in_flight += 1
        try:
            await self._through(route, exchange, head, scope, receive, began)
        except HttpError as error:
            await exchange.fail(error)
        except asyncio.CancelledError:
            if exchange.outcome is None:
                exchange.outcome = "cancelled"  # by whoever runs the server: not ours to swallow
                raise
        except Exception:
            log.exception("%s failed, request %s", scope["path"], context.request_id)
            await exchange.fail(
                HttpError(500, "internal_error", "the service made a mistake; its log says which")
            )
        finally:
            if exchange.outcome is not None:
                await exchange.finish()
            metrics.in_flight -= 1
            self._record(route, exchange, metrics, scope, monotonic() - began)

    async def _through(
        self, route: Route, exchange: Exchange, head: Head, scope: Scope, receive: Receive,
        began: float,
    ) -> None:  # fmt: skip
        gateway, context = self._gateway, exchange.context
        choice = None if route.choose is None else route.choose(scope)
        served = route.served if choice is None else choice.served
        if served is None:
            raise HttpError(503, "not_ready", f"'{route.name}' is not ready", retry_after_s=1)
        context.api, context.version = served.api, served.version
        timeout_s = served.limits.timeout_s
        if timeout_s is not None:
            context.deadline = began + timeout_s
        if gateway.guard is not None:
            gateway.guard(scope, route, context)
        connection = scope.get("descent.connection")
        receive = self._body(route, choice, served, exchange, head, scope, receive)
        if connection is not None:
            connection.on_gone = exchange.gone
        watched = timeout_s is not None or connection is None
        if watched:
            self._sweeper.watch(exchange)
        try:
            await self._inside(served, exchange, scope, receive)
        finally:
            if connection is not None:
                connection.on_gone = None
            if watched:
                self._sweeper.leave(exchange)
            if exchange.body is not None:
                exchange.body.close()

    async def _inside(
        self, served: Served, exchange: Exchange, scope: Scope, receive: Receive
    ) -> None:
        """Admission, and the application's turn. (Its name for metrics is the API's own: behind a
        splitter the API counts, too.)"""
        if not served.try_enter():
            await self._queue(served)
        entered = monotonic()
        try:
            scope["descent"] = exchange.context
            await served.app(scope, receive, exchange.send)
        finally:
            served.leave()
            served.mean_s += 0.05 * (monotonic() - entered - served.mean_s)

    async def _queue(self, served: Served) -> None:
        metrics = self._gateway.metrics.api(served.api)
        began = monotonic()
        metrics.queued += 1
        try:
            await served.enter()
        finally:
            metrics.queued -= 1
            metrics.waited += 1
            metrics.waited_s += monotonic() - began

    def _body(
        self, route: Route, choice: Choice | None, served: Served, exchange: Exchange, head: Head,
        scope: Scope, receive: Receive,
    ) -> Receive:  # fmt: skip
        """The server's own `receive` where nothing has to be seen of the body."""
        limit = served.limits.max_body_bytes
        if head.length is not None and head.length > limit:
            raise too_large(limit)
        if head.upgrade == b"websocket":
            raise HttpError(426, "no_websockets", "WebSockets are not answered; stream over HTTP")
        scope["root_path"] = route.endpoint
        shadow = None if choice is None else choice.shadow
        if (
            head.length is not None
            and "descent.connection" in scope
            and shadow is None
            and not route.keep_bodies
        ):
            return receive
        keep = SAID_BYTES if route.keep_bodies else 0
        whole = None if shadow is None else self._shadows.copier(shadow, scope, exchange.context)
        exchange.body = Body(receive, exchange, limit, keep_bytes=keep, whole=whole)
        return exchange.body

    def _record(
        self, route: Route, exchange: Exchange, metrics: ApiMetrics, scope: Scope, seconds: float
    ) -> None:
        gateway, context = self._gateway, exchange.context
        status = exchange.final_status()
        metrics.record(status, seconds, exchange.size)
        if context.api != route.name:  # behind a splitter, the API itself counts, too
            gateway.metrics.api(context.api).record(status, seconds, exchange.size)
        if gateway.access_log is not None:
            line = access_line(
                context.api, context.version, context.request_id, scope["method"], scope["path"],
                status, seconds * 1e3, exchange.size,
            )  # fmt: skip
            gateway.access_log.write(line)
        if status >= 400:
            gateway.errors.add(_noted(exchange, context, scope, status))


def _noted(exchange: Exchange, context: Context, scope: Scope, status: int) -> dict[str, Any]:
    noted = {
        "time": time.time(),
        "api": context.api,
        "version": context.version,
        "status": status,
        "request_id": context.request_id,
        "method": scope["method"],
        "path": scope["path"],
        "message": "the client went away" if status == 499 else _message(exchange.said),
    }
    if exchange.body is not None and exchange.body.kept:
        noted["body"] = exchange.body.kept[:SAID_BYTES].decode("utf-8", "replace")
    return noted


def _message(said: bytes) -> str:
    """The message of an error body, ours, OpenAI's or FastAPI's; else its beginning."""
    try:
        value = json.loads(said)
        found = value.get("error", value.get("detail"))
        found = found.get("message") if isinstance(found, dict) else found
        if isinstance(found, str):
            return found
    except (ValueError, AttributeError):
        pass
    return said[:200].decode("utf-8", "replace")
