"""The outermost ASGI application of a node: which way a request goes, and what is known of all.

Routes come first; what is no API's is the node's own (`mounts`: probes, `/v1`, `/v2`, control).
The way through a route is `passage.py`. Left out: HTTP/2 and WebSockets (refused in words).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.gateway.access import LineLog
from descent.deploy.gateway.heads import Head
from descent.deploy.gateway.health import Health
from descent.deploy.gateway.kserve import KServe
from descent.deploy.gateway.metrics import Metrics
from descent.deploy.gateway.openai import OpenAI
from descent.deploy.gateway.passage import Passage
from descent.deploy.gateway.routes import Route, Routes, first_segment
from descent.deploy.gateway.series import RecentErrors, Series
from descent.deploy.pool import Context

__all__ = ["Gateway"]

Guard = Callable[[Scope, Route, Context], None]
Face = Callable[[Route, Scope], ASGIApp | None]
NAMED = 20  # endpoints that a 404 names


class Gateway:
    """Routes requests to what is served.

    Attributes others set: `control` (ASGI app under "/-"), `mounts` (first segment → the node's own
    ASGI app), `guard` (called before admission with scope, route and context; raises `HttpError`;
    may set `context.key`), `face` (called for a GET before it enters an API, with route and scope:
    who answers instead, or None), `discreet` (names of APIs are not told unasked), `not_ready` (why
    /readyz says 503; None: ready), `on_start` and `on_stop` (awaited by the server's lifespan).
    """

    def __init__(
        self,
        metrics: Metrics | None = None,
        *,
        access_log: LineLog | None = None,
        allowed_hosts: Collection[str] | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.access_log = access_log
        self.routes = Routes()
        self.errors = RecentErrors()
        self.guard: Guard | None = None
        self.face: Face | None = None
        self.discreet = False
        self.not_ready: str | None = None
        self.on_start: list[Callable[[], Awaitable[None]]] = []
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        health = Health(self)
        self.mounts: dict[str, ASGIApp] = {
            "/livez": health.alive,
            "/healthz": health.alive,
            "/readyz": health.ready,
            "/metrics": health.metrics,
            "/v1": OpenAI(self),
            "/v2": KServe(self),
        }
        self.dispatch = Passage(self)
        self._hosts = None if allowed_hosts is None else {h.lower() for h in allowed_hosts}
        self._good_hosts: set[bytes] = set()  # as they were sent
        self._series: dict[str, Series] = {}
        self._ticking: asyncio.Task[None] | None = None

    @property
    def control(self) -> ASGIApp | None:
        """The control API, under "/-"."""
        return self.mounts.get("/-")

    @control.setter
    def control(self, app: ASGIApp) -> None:
        self.mounts["/-"] = app

    def set_route(self, route: Route) -> None:
        """Add a route or replace the one of that name; ValueError if its endpoint is taken."""
        self.routes.set(route)
        if route.name not in self._series:
            self._series[route.name] = Series(self.metrics.api(route.name, route.kind))

    def remove_route(self, name: str) -> Route | None:
        """Take a route away; requests inside go on. None: there was none."""
        removed = self.routes.remove(name)
        if removed is not None:
            self._series.pop(name, None)
            self.errors.forget(name)
            self.metrics.forget(name)
        return removed

    def series(self, api: str, seconds: int = 900) -> list[dict[str, float]]:
        """The last seconds of an API, oldest first: time, requests, errors, p50_s, p90_s, p99_s,
        in_flight, queued."""
        found = self._series.get(api)
        return [] if found is None else found.last(seconds)

    def recent_errors(
        self, api: str | None = None, *, server_only: bool = False
    ) -> list[dict[str, Any]]:
        """Failed requests, the latest first: time, api, version, status, request_id, method, path,
        message, and body where the route keeps bodies. `server_only`: none of status 4xx."""
        return self.errors.last(api, server_only=server_only)

    def tick(self, now: float | None = None) -> None:
        """Once a second: series, samples for the autoscaler."""
        at = time.time() if now is None else now
        for name, route in self.routes.by_name.items():
            self._series[name].tick(at)
            if route.served is not None:
                route.served.sample(at)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            route = self.routes.find(scope["path"])
            plain = self.face is None or scope["method"] == "POST"
            if route is not None and plain and (self._hosts is None or self._known_host(scope)):
                await self.dispatch(route, scope, receive, send)
            else:
                await self._aside(route, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:  # before it is accepted: the server answers 403
            await receive()
            await send({"type": "websocket.close", "code": 1003, "reason": "no WebSockets here"})

    async def _aside(self, route: Route | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Hosts are checked, or it is no API's path."""
        head = Head(scope["headers"])
        try:
            self._check_host(head.host)
            if route is not None:
                if self.face is not None and scope["method"] in ("GET", "HEAD"):
                    if (shown := self.face(route, scope)) is not None:
                        return await shown(scope, receive, send)
                return await self.dispatch(route, scope, receive, send)
            mounted = self.mounts.get(first_segment(scope["path"]))
            if mounted is None:
                raise self._nothing(scope["path"])
            await mounted(scope, receive, send)
        except HttpError as error:
            await send_error(send, error, head.request_id)

    def _known_host(self, scope: Scope) -> bool:
        """Has this very header been found good before?"""
        for name, value in scope["headers"]:
            if name == b"host":
                return value in self._good_hosts
        return False

    def _check_host(self, given: bytes) -> None:
        """Refuse a page elsewhere whose name was made to resolve to this machine (rebinding)."""
        if self._hosts is None:
            return
        host = given.decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in self._hosts:
            raise HttpError(421, "wrong_host", f"this node does not answer for the host '{host}'")
        if len(self._good_hosts) < NAMED:
            self._good_hosts.add(given)

    def _nothing(self, path: str) -> HttpError:
        if self.discreet:
            return HttpError(404, "not_found", f"nothing is at '{path}'")
        endpoints = sorted(self.routes.by_endpoint)
        said = ", ".join(endpoints[:NAMED]) or "none yet"
        more = f" and {len(endpoints) - NAMED} more" if len(endpoints) > NAMED else ""
        return HttpError(404, "not_found", f"nothing is at '{path}'; endpoints: {said}{more}")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            for begin in self.on_start:
                await begin()
        except Exception as error:
            return await send({"type": "lifespan.startup.failed", "message": str(error)})
        self._ticking = asyncio.create_task(self._tick_on())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._ticking.cancel()
        for end in self.on_stop:
            await end()
        if self.access_log is not None:
            self.access_log.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tick_on(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:  # by a clock of its own: one that wakes a moment early would tick twice
            due = max(due + 1.0, loop.time())
            await asyncio.sleep(due - loop.time())
            self.tick()
