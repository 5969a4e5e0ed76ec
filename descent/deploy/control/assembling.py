"""The parts of a node, put together: gateway, store, backends, controller, control API."""

from __future__ import annotations

import logging

from descent.deploy.control.controlling import Controller
from descent.deploy.control.describing import Description
from descent.deploy.control.folders import Home
from descent.deploy.control.fronts import Front, RealtimeFront
from descent.deploy.control.http_api import ControlApp
from descent.deploy.control.settings import NodeSettings
from descent.deploy.control.starting import Starter
from descent.deploy.errors import DeployError
from descent.deploy.gateway import Gateway
from descent.deploy.gateway.access import LineLog
from descent.deploy.jobs.store import Database, Store
from descent.deploy.pool import Backend
from descent.deploy.pools.local import LocalBackend
from descent.deploy.spec import Spec

__all__ = ["Parts"]

log = logging.getLogger("descent.deploy.node")


class Parts:
    """Made in the event loop's thread; `open` before the first request, `close` after the last."""

    def __init__(self, settings: NodeSettings, home: Home, url: str) -> None:
        self.settings = settings
        self.home = home
        self.access = LineLog(home.logs / "access.jsonl")
        hosts = None
        self.gateway = Gateway(access_log=self.access, allowed_hosts=hosts)
        self.backends: dict[str, Backend] = {"local": LocalBackend()}
        self.store = Store(Database.open(settings.database_url or home.database_url))
        starter = Starter(
            self.backends, home.logs, default=settings.backend, load_s=settings.load_s
        )
        self.controller = Controller(
            home.versions, self.gateway, self.store.versions, starter, self._front,
            drain_s=settings.drain_s, grace_s=settings.grace_s,
        )  # fmt: skip
        description = Description(self.controller, home, settings, lambda: url)
        self.gateway.control = ControlApp(description, home.token, work_folder=home.path)

    def _front(self, spec: Spec) -> Front:
        if spec.kind == "RealtimeAPI":
            return RealtimeFront(self.gateway, spec)
        raise DeployError(f"kind of '{spec.name}' is {spec.kind}: not yet")

    async def open(self) -> None:
        """Connect to what must be there before requests are answered."""
        self.home.versions.mkdir(parents=True, exist_ok=True)

    def busy(self) -> bool:
        """Whether requests are inside or wait."""
        return any(m.in_flight for m in self.gateway.metrics.apis.values())

    async def close(self) -> None:
        """End everything."""
        await self.controller.close()
        for backend in self.backends.values():
            await backend.close()
        await self.store.close()
        self.access.close()
