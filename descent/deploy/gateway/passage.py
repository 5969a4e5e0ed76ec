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
from descent.deploy.gateway.routes import Route
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
        connection = scope.get("descent.connection")
        head = Head(scope["headers"])
        context = Context(head.request_id, route.name)
        task = asyncio.current_task() if connection is None else connection.task
        exchange = Exchange(context, send, task)
        metrics = self._gateway.metrics.api(route.name, route.kind)
        metrics.in_flight += 1
        try:
            try:
                served, receive = self._admitted(route, exchange, head, scope, receive, began)
                if not served.try_enter():
                    await _queue(served, exchange.also or metrics)
                entered = monotonic()
                try:
                    await served.app(scope, receive, exchange.send)
                finally:
                    served.leave()
                    served.mean_s += 0.05 * (monotonic() - entered - served.mean_s)
            finally:
                self._let_go(exchange, connection)
        except HttpError as error:
            await exchange.fail(error)
        except asyncio.CancelledError:
            if exchange.outcome is None:
                exchange.outcome = "cancelled"  # by whoever runs the server: not ours to swallow
                raise
        except Exception:
            if exchange.outcome is None:  # else it is how the application took being ended
                log.exception("%s failed, request %s", scope["path"], context.request_id)
                await exchange.fail(
                    HttpError(500, "internal_error", "the service failed; its log says why")
                )
        finally:
            metrics.in_flight -= 1
            try:
                if exchange.outcome is not None:
                    await exchange.finish()
            finally:
                self._record(route, exchange, metrics, scope, monotonic() - began)

    def _admitted(
        self, route: Route, exchange: Exchange, head: Head, scope: Scope, receive: Receive,
        began: float,
    ) -> tuple[Served, Receive]:  # fmt: skip
        """The version that answers and what it reads from, once guard and size allow; from now on
        the client's going away and the deadline end it."""
        context = exchange.context
        choice = None if route.choose is None else route.choose(scope)
        served = route.served if choice is None else choice.served
        if served is None:
            raise HttpError(503, "not_ready", f"'{route.name}' is not ready", retry_after_s=1)
        context.api, context.version, context.trace = served.api, served.version, head.trace
        if choice is not None:
            exchange.also = self._gateway.metrics.api(served.api)
            exchange.also.in_flight += 1
        limits = served.limits
        if limits.timeout_s is not None:
            context.deadline = began + limits.timeout_s
        if self._gateway.guard is not None:
            self._gateway.guard(scope, route, context)
        if head.length is not None and head.length > limits.max_body_bytes:
            raise too_large(limits.max_body_bytes)
        if head.wants_websocket:
            raise HttpError(426, "no_websockets", "WebSockets are not answered; stream over HTTP")
        scope["root_path"], scope["descent"] = route.endpoint, context
        connection = scope.get("descent.connection")
        shadow = None if choice is None else choice.shadow
        if connection is None or head.length is None or shadow is not None or route.keep_bodies:
            keep = SAID_BYTES if route.keep_bodies else 0
            whole = None if shadow is None else self._shadows.copier(shadow, scope, context)
            receive = exchange.body = Body(
                receive, exchange, limits.max_body_bytes, keep_bytes=keep, whole=whole
            )
        if connection is not None:
            connection.on_gone = exchange.gone
        if connection is None or limits.timeout_s is not None:
            self._sweeper.watch(exchange)
        return served, receive

    def _let_go(self, exchange: Exchange, connection: Any) -> None:
        if connection is not None:
            connection.on_gone = None
        if connection is None or exchange.context.deadline is not None:
            self._sweeper.leave(exchange)
        if exchange.body is not None:
            exchange.body.close()

    def _record(
        self, route: Route, exchange: Exchange, metrics: ApiMetrics, scope: Scope, seconds: float
    ) -> None:
        gateway, context = self._gateway, exchange.context
        status = exchange.final_status()
        metrics.record(status, seconds, exchange.size)
        if exchange.also is not None:
            exchange.also.in_flight -= 1
            exchange.also.record(status, seconds, exchange.size)
        if gateway.access_log is not None:
            line = access_line(
                context.api, context.version, context.request_id, scope["method"], scope["path"],
                status, seconds * 1e3, exchange.size, context.key,
            )  # fmt: skip
            gateway.access_log.write(line)
        if status >= 400:
            gateway.errors.add(_noted(exchange, context, scope, status))


async def _queue(served: Served, metrics: ApiMetrics) -> None:
    began = monotonic()
    metrics.queued += 1
    try:
        await served.enter()
    finally:
        metrics.queued -= 1
        metrics.waited += 1
        metrics.waited_s += monotonic() - began


def _noted(exchange: Exchange, context: Context, scope: Scope, status: int) -> dict[str, Any]:
    if status == 499:
        message = "the client went away"
    else:
        message = _message(exchange.said) if exchange.ended else "the answer was not finished"
    noted = {
        "time": time.time(),
        "api": context.api,
        "version": context.version,
        "status": status,
        "request_id": context.request_id,
        "method": scope["method"],
        "path": scope["path"],
        "message": message,
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
