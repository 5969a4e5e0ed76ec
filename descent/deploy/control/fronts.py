"""What stands before an API's versions and stays when they change: its route, and its jobs.

A front's `use` is the moment of an update: before it requests enter the old version, after it the
new one, and nothing lies between.
"""

from __future__ import annotations

from typing import Any, Protocol

from descent.deploy.control.starting import Live
from descent.deploy.gateway import Gateway, Route, Served
from descent.deploy.spec import Spec

__all__ = ["Front", "RealtimeFront"]


class Front(Protocol):
    """How an API of one kind meets the world."""

    def hold(self, served: Served) -> None:
        """Show a place where requests wait for the version that is being loaded, or are refused."""
        ...

    async def use(self, live: Live) -> None:
        """From now on work goes to this version."""
        ...

    async def close(self, grace_s: float, *, keep_jobs: bool) -> None:
        """Take the API away."""
        ...

    async def status(self) -> dict[str, Any]:
        """What is particular to the kind, for `describe`."""
        ...


class RealtimeFront:
    """A route whose `served` is replaced."""

    def __init__(self, gateway: Gateway, spec: Spec) -> None:
        self.gateway = gateway
        self.route = Route(spec.name, spec.kind, spec.networking.endpoint or f"/{spec.name}")
        gateway.set_route(self.route)

    def hold(self, served: Served) -> None:
        self.route.served = served

    async def use(self, live: Live) -> None:
        endpoint = live.spec.networking.endpoint or f"/{live.spec.name}"
        if endpoint != self.route.endpoint:
            self.route = Route(live.spec.name, live.spec.kind, endpoint, live.served)
            self.gateway.set_route(self.route)
        self.route.served = live.served

    async def close(self, grace_s: float, *, keep_jobs: bool) -> None:
        del grace_s, keep_jobs
        self.gateway.remove_route(self.route.name)

    async def status(self) -> dict[str, Any]:
        return {}
