"""The parts of a node, put together: gateway, store, backends, controller, control API."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from descent.deploy import tracing
from descent.deploy.cluster.local import LocalCluster
from descent.deploy.control.controlling import Controller
from descent.deploy.control.counting import NodeCollector
from descent.deploy.control.describing import Description, signature_of
from descent.deploy.control.folders import Home
from descent.deploy.control.fronts import Front, JobFront, RealtimeFront
from descent.deploy.control.http_api import ControlApp
from descent.deploy.control.openapi import document
from descent.deploy.control.scaled import Scaled
from descent.deploy.control.settings import NodeSettings
from descent.deploy.control.splitting import SplitFront
from descent.deploy.control.starting import Starter
from descent.deploy.gateway import Gateway, Route
from descent.deploy.gateway.access import LineLog
from descent.deploy.jobs.api import JobApi
from descent.deploy.jobs.counting import Counts, JobsCollector
from descent.deploy.jobs.housekeeping import Housekeeping
from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import Database, Store
from descent.deploy.keys import KeyRing, wanted_of
from descent.deploy.pool import Backend, Pool
from descent.deploy.pools.command import CommandBackend
from descent.deploy.pools.counting import PoolsCollector
from descent.deploy.pools.local import LocalBackend
from descent.deploy.pools.memory import resident_bytes
from descent.deploy.pools.ray import RayBackend
from descent.deploy.resident import Residents
from descent.deploy.scale.counting import ScalingCollector
from descent.deploy.scale.scaling import Scaling
from descent.deploy.service.faces import Faces, RouteLike
from descent.deploy.spec import Spec

__all__ = ["Parts"]

log = logging.getLogger("descent.deploy.node")


class Parts:
    """Made in the event loop's thread; `open` before the first request, `close` after the last."""

    def __init__(self, settings: NodeSettings, home: Home, url: str) -> None:
        self.settings = settings
        self.home = home
        self.tracing = tracing.begin(settings.traces)
        self.access = LineLog(home.logs / "access.jsonl")
        self.gateway = Gateway(access_log=self.access, allowed_hosts=settings.hosts)
        self.backends: dict[str, Backend] = {
            "local": LocalBackend(),
            "command": CommandBackend(),
            "ray": RayBackend(LocalCluster(home.path).address),
        }
        self.store = Store(Database.open(settings.database_url or home.database_url))
        self.files = Files(settings.files_url or home.files_url)
        self.housekeeping = Housekeeping(self.store, self.files)
        self.gateway.metrics.register(JobsCollector(self._counts))
        self.gateway.metrics.register(PoolsCollector(self._pools))
        self.residents = Residents(settings.memory_limit_bytes, growth=resident_bytes)
        starter = Starter(
            self.backends, home.logs, default=settings.backend, load_s=settings.load_s,
            residents=self.residents,
        )  # fmt: skip
        self.controller = Controller(
            home.versions, self.gateway, self.store.versions, starter, self._front,
            drain_s=settings.drain_s, grace_s=settings.grace_s,
        )  # fmt: skip
        subjects = Scaled(self.controller.apis, self.gateway.metrics, settings.backend)
        self.scaling = Scaling(subjects, self._scale_state, self._keep_scale_state)
        self.gateway.metrics.register(ScalingCollector(self.scaling.scalers))
        self.gateway.metrics.register(
            NodeCollector(
                home.path, lambda: self.gateway.not_ready is None, lambda: self.access.dropped
            )
        )
        description = Description(self.controller, home, settings, lambda: url, self.scaling.why)
        faces = Faces(
            self._routes, self._signature, control=document(),
            keys=lambda: settings.require_keys, admit=self._may_see,
        )  # fmt: skip
        self.gateway.face, self.gateway.mounts["/openapi.json"] = faces.of, faces.node
        self.keys = KeyRing(self.store.keys, home.token, required=settings.require_keys)
        self.gateway.guard = self.keys.guard
        self.gateway.metrics.register(self.keys)
        if settings.require_keys:
            mounts, self.gateway.discreet = self.gateway.mounts, True
            for path in ("/metrics", "/openapi.json"):
                mounts[path] = self._kept(mounts[path])
            for path, below in (("/v1", ""), ("/v2", "/models")):  # /v2's probes are for anybody
                mounts[path] = self._for_key_holders(mounts[path], path + below)
        self.control = ControlApp(description, self.keys, work_folder=home.path)
        self.gateway.control = self.control

    def _kept(self, app: ASGIApp) -> ASGIApp:
        """What tells of every API is for those who may look at the node."""

        async def checked(scope: Scope, receive: Receive, send: Send) -> None:
            self.keys.admit(scope["headers"], "control:read")
            await app(scope, receive, send)

        return checked

    def _for_key_holders(self, app: ASGIApp, below: str) -> ASGIApp:
        """Names of models, and what they take, are for those who have a key, whatever it is for;
        whether they may ask is the guard's matter."""

        async def checked(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith(below):
                self.keys.identify(scope["headers"])
            await app(scope, receive, send)

        return checked

    def _may_see(self, scope: Scope, route: RouteLike) -> None:
        if self.settings.require_keys:
            self.keys.admit(scope["headers"], wanted_of(route.kind, route.name))

    def _routes(self) -> Iterator[Route]:
        yield from self.gateway.routes.by_name.values()

    def _signature(self, route: RouteLike) -> dict[str, Any] | None:
        api = self.controller.apis.get(route.name)
        return None if api is None else signature_of(api)

    def _front(self, spec: Spec) -> Front:
        if spec.kind == "RealtimeAPI":
            return RealtimeFront(self.gateway, spec)
        if spec.kind in ("AsyncAPI", "BatchAPI", "TaskAPI"):
            return JobFront(self.gateway, spec, self._jobs(spec))
        return SplitFront(self.gateway, spec, self._go_back)

    async def _go_back(self, splitter: str, apis: list[dict[str, Any]], why: str) -> None:
        await self.controller.change(splitter, "guard", lambda spec: {"apis": apis}, reason=why)

    def _jobs(self, spec: Spec) -> JobApi:
        def log(line: str, **fields: Any) -> None:
            live = self.controller.apis[spec.name].live
            if live is not None:
                live.log(line, **fields)

        return JobApi(
            spec, self.store, self.files, log,
            worker=f"{socket.gethostname()}:{self.home.path}",
            tasks=self.home.path / "tasks",
            logs=self.home.logs / spec.name / "jobs",
            housekeeping=False,
        )  # fmt: skip

    def _counts(self) -> Iterator[Counts]:
        for api in self.controller.apis.values():
            if isinstance(api.front, JobFront):
                yield api.front.jobs.counts

    def _pools(self) -> Iterator[tuple[str, int, Pool]]:
        for name, api in self.controller.apis.items():
            if api.live is not None and api.live.pool is not None:
                yield name, api.live.version, api.live.pool

    async def _scale_state(self, api: str) -> Any:
        return await self.store.settings.get(f"scale/{api}")

    async def _keep_scale_state(self, api: str, state: Any) -> None:
        await self.store.settings.set(f"scale/{api}", state)

    async def open(self) -> None:
        """Connect to what must be there before requests are answered."""
        self.home.versions.mkdir(parents=True, exist_ok=True)
        await self.keys.open()
        self.housekeeping.start()
        self.scaling.start()

    @property
    def app(self) -> ASGIApp:
        """What the server is given."""
        app = self.gateway if self.tracing is None else tracing.Traced(self.gateway, self.tracing)
        if not self.settings.cors_origins:
            return app
        from starlette.middleware.cors import CORSMiddleware

        return CORSMiddleware(
            app,
            allow_origins=self.settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )

    def leave(self) -> None:
        """The node is stopping: nobody need wait for a job any longer."""
        for api in self.controller.apis.values():
            if isinstance(api.front, JobFront):
                api.front.jobs.leave()

    def busy(self) -> bool:
        """Whether requests are inside or wait."""
        return any(m.in_flight for m in self.gateway.metrics.apis.values())

    async def close(self) -> None:
        """End everything."""
        await self.scaling.close()
        await self.controller.close()
        await self.residents.close()
        for backend in self.backends.values():
            await backend.close()
        await self.housekeeping.close()
        await self.keys.close()
        await self.store.close()
        self.access.close()
