"""What stands before an API's versions and stays when they change: its route, its jobs.

A front's `use` is the moment of an update: before it work enters the old version, after it the new
one, and nothing lies between.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from descent.deploy.control.starting import Live, Refusal, held
from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.jobs.api import JobApi
from descent.deploy.spec import Spec

__all__ = ["Front", "JobFront", "RealtimeFront", "endpoint_of"]

JOB_LIMITS = Limits(max_concurrency=1000, max_queue_length=1000)  # of the HTTP API, not the work


class Front(Protocol):
    """How an API of one kind meets the world."""

    async def hold(self, spec: Spec, version: int, folder: Path) -> Served | None:
        """The node starts: what comes waits for the version that is being loaded. Returns the
        place where requests wait, for that version to take over."""
        ...

    def refuse(self, reason: str) -> None:
        """No version can answer for now, and why."""
        ...

    async def use(self, live: Live, folder: Path) -> None:
        """From now on work goes to this version."""
        ...

    async def drained(self, old: Live, timeout_s: float) -> bool:
        """Wait until the old version's work has ended; False if that took longer."""
        ...

    async def close(self, grace_s: float) -> None:
        """Stop: nothing new comes in, what is under way may finish."""
        ...

    async def forget(self) -> None:
        """The API is deleted: so are its jobs."""
        ...

    async def status(self) -> dict[str, Any]:
        """What is particular to the kind, for `describe`."""
        ...


def endpoint_of(spec: Spec) -> str:
    """The path an API answers at."""
    return spec.networking.endpoint or f"/{spec.name}"


class RouteFront:
    """The route of an API, which follows its endpoint."""

    def __init__(self, gateway: Gateway, spec: Spec) -> None:
        self.gateway = gateway
        self.route = Route(spec.name, spec.kind, endpoint_of(spec))
        self._shown = False

    def show(self, spec: Spec, served: Served | None) -> None:
        """Answer at the spec's endpoint with `served`."""
        if not self._shown or endpoint_of(spec) != self.route.endpoint:
            old = self.route
            self.route = Route(spec.name, spec.kind, endpoint_of(spec), served, old.choose)
            self.gateway.set_route(self.route)
            self._shown = True
        self.route.served = served

    async def forget(self) -> None:
        """Nothing is kept beside the route."""

    async def close(self, grace_s: float) -> None:
        """Take the route away; requests inside go on."""
        del grace_s
        self.gateway.remove_route(self.route.name)

    async def status(self) -> dict[str, Any]:
        """Nothing more than every API has."""
        return {}


class RealtimeFront(RouteFront):
    """Requests go to `route.served`, which is replaced."""

    async def hold(self, spec: Spec, version: int, folder: Path) -> Served:
        del folder
        place = held(spec, version)
        self.show(spec, place)
        return place

    def refuse(self, reason: str) -> None:
        place = self.route.served
        if place is not None:
            place.app = Refusal(reason)
            place.release()

    async def use(self, live: Live, folder: Path) -> None:
        del folder
        self.show(live.spec, live.served)

    async def drained(self, old: Live, timeout_s: float) -> bool:
        return await old.served.drained(timeout_s)


class JobFront(RouteFront):
    """Submissions go to the jobs' HTTP API; work goes to the pool in use. Jobs are accepted as
    soon as the node is up, whether or not the version is loaded."""

    def __init__(self, gateway: Gateway, spec: Spec, jobs: JobApi) -> None:
        super().__init__(gateway, spec)
        self.jobs = jobs
        self.served = Served(spec.name, 0, jobs.app, JOB_LIMITS)
        self._started = False

    async def hold(self, spec: Spec, version: int, folder: Path) -> None:
        self.jobs.use(None, spec, version, folder=folder)
        await self._begin(spec, version)

    def refuse(self, reason: str) -> None:
        """Jobs wait; their submitters need not."""

    async def use(self, live: Live, folder: Path) -> None:
        self.jobs.use(live.pool, live.spec, live.version, folder=folder)
        await self._begin(live.spec, live.version)

    async def _begin(self, spec: Spec, version: int) -> None:
        self.served.version = version
        if not self._started:
            self._started = True
            await self.jobs.start()
        self.show(spec, self.served)

    async def drained(self, old: Live, timeout_s: float) -> bool:
        return old.pool is None or await self.jobs.drained(old.pool, timeout_s)

    async def close(self, grace_s: float) -> None:
        await super().close(grace_s)
        if self._started:
            await self.jobs.close(grace_s)

    async def forget(self) -> None:
        await self.jobs.remove()

    async def status(self) -> dict[str, Any]:
        return await self.jobs.status()
