"""The outermost ASGI application of a node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.gateway.routes import Route, Routes
from descent.deploy.gateway.served import Served
from descent.deploy.pool import Context

__all__ = ["Gateway"]

Guard = Callable[[Scope, Route, Context], None]


class Gateway:
    """Routes requests to what is served.

    Attributes others set: `control` (ASGI app under "/-/", and what else the node mounts in
    `mounts`), `guard` (called before admission with scope, route and context; raises `HttpError`;
    may set `context.key`), `not_ready` (why /readyz says 503; None: ready).
    """

    def __init__(
        self,
        metrics: Any = None,
        *,
        log: Callable[[str], None] | None = None,
        allowed_hosts: Collection[str] | None = None,
    ) -> None:
        self.metrics = metrics
        self.routes = Routes()
        self.control: ASGIApp | None = None
        self.mounts: dict[str, ASGIApp] = {}  # first segment ("/ui") → the node's own application
        self.guard: Guard | None = None
        self.not_ready: str | None = None
        self.on_start: list[Callable[[], Awaitable[None]]] = []  # run by the server's lifespan
        self.on_stop: list[Callable[[], Awaitable[None]]] = []

    def set_route(self, route: Route) -> None:
        """Add a route or replace the one of that name; ValueError if its endpoint is taken."""
        self.routes.set(route)

    def remove_route(self, name: str) -> Route | None:
        """Take a route away; requests inside go on. None: there was none."""
        return self.routes.remove(name)

    def series(self, api: str, seconds: int = 900) -> list[dict[str, float]]:
        """The last seconds of an API, oldest first: time, requests, errors, p50_s, p99_s,
        in_flight, queued."""
        return []

    def recent_errors(self, api: str | None = None) -> list[dict[str, Any]]:
        """Failed requests, the latest first: time, api, version, status, request_id, message,
        body (where the route keeps bodies)."""
        return []

    async def dispatch(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """Give one HTTP request to a route, with admission, deadline and metrics; `scope["path"]`
        begins with the route's endpoint."""
        served = route.choose(scope).served if route.choose is not None else route.served
        context = Context("")
        try:
            if served is None:
                raise HttpError(503, "not_ready", f"'{route.name}' is not ready")
            if not served.try_enter():
                await served.enter()
            try:
                scope["root_path"], scope["descent"] = route.endpoint, context
                await served.app(scope, receive, send)
            finally:
                served.leave()
        except HttpError as error:
            await send_error(send, error, context.request_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        route = self.routes.find(scope["path"])
        if route is None:
            return await send_error(send, HttpError(404, "not_found", "no such endpoint"), None)
        await self.dispatch(route, scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        for begin in self.on_start:
            await begin()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for end in self.on_stop:
            await end()
        await send({"type": "lifespan.shutdown.complete"})


_ = asyncio, Served
