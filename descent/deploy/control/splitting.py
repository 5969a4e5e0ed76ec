"""What stands before a TrafficSplitter: a route that chooses, and the guard that looks on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from descent.deploy.control.fronts import RouteFront
from descent.deploy.control.starting import Live
from descent.deploy.gateway import Gateway, Served
from descent.deploy.spec import Spec, Split
from descent.deploy.traffic import Chooser, Watch, judge
from descent.deploy.traffic.guarding import fallback_of

__all__ = ["SplitFront", "all_to"]

LOOK_S = 1.0
GoBack = Callable[
    [str, list[dict[str, Any]], str], Coroutine[Any, Any, None]
]  # splitter, apis, why
log = logging.getLogger("descent.deploy.node")


class SplitFront(RouteFront):
    """`go_back(splitter, apis, why)` deploys other weights; the guard calls it."""

    def __init__(self, gateway: Gateway, spec: Spec, go_back: GoBack) -> None:
        super().__init__(gateway, spec)
        self.go_back = go_back
        self.before: list[Split] | None = None
        self.spec = spec
        self._looking: asyncio.Task[None] | None = None
        self._changing: asyncio.Task[None] | None = None

    async def hold(self, spec: Spec, version: int, folder: Path) -> None:
        """Nothing has to be loaded."""

    def refuse(self, reason: str) -> None:
        """Never: a splitter is always ready; its targets need not be."""

    async def use(self, live: Live, folder: Path) -> None:
        spec = live.spec
        if self.route.choose is not None and self.spec.apis != spec.apis:
            self.before = self.spec.apis
        self.spec = spec
        chooser = Chooser(spec.apis, self.find, sticky_header=spec.sticky_header)
        self.route.choose = chooser
        self.show(spec, None)
        if self._looking is not None:
            self._looking.cancel()
        if spec.guard is not None:
            self._looking = asyncio.create_task(self._look(spec))

    def find(self, name: str) -> Served | None:
        """What an API serves now."""
        route = self.gateway.routes.by_name.get(name)
        return None if route is None else route.served

    async def drained(self, old: Live, timeout_s: float) -> bool:
        return True  # its requests are its targets'

    async def close(self, grace_s: float) -> None:
        if self._looking is not None:
            self._looking.cancel()
        await super().close(grace_s)

    async def status(self) -> dict[str, Any]:
        return {
            "apis": [split.model_dump(mode="json") for split in self.spec.apis],
            "guard": None if self.spec.guard is None else self.spec.guard.model_dump(mode="json"),
            "fallback": self._fallback(self.spec) if self.spec.guard is not None else None,
        }

    def _fallback(self, spec: Spec) -> str | None:
        assert spec.guard is not None
        return fallback_of(spec.guard, spec.apis, self.before)

    async def _look(self, spec: Spec) -> None:
        """Judge every target but the one traffic would go back to, until one fails."""
        guard, fallback = spec.guard, self._fallback(spec)
        assert guard is not None
        watches = {
            split.name: Watch(self.gateway.metrics.api(split.name, "RealtimeAPI"), guard.window_s)
            for split in spec.apis
            if not split.shadow and split.weight and split.name != fallback
        }
        while watches and fallback is not None:
            for name, watch in watches.items():
                why = judge(guard, watch.look(time.monotonic()))
                if why is not None:
                    said = f"guard: traffic of '{name}' goes back to '{fallback}': {why}"
                    log.warning("%s: %s", spec.name, said)
                    if await self._gone_back(spec.name, all_to(spec.apis, fallback), said):
                        return
                    break
            await asyncio.sleep(LOOK_S)

    async def _gone_back(self, name: str, apis: list[dict[str, Any]], why: str) -> bool:
        """In a task of its own: deploying ends the one that looks. False: it is to be tried again
        (the store cannot be reached, its disk is full)."""
        self._changing = asyncio.create_task(self.go_back(name, apis, why))
        await asyncio.wait({self._changing})
        if error := self._changing.exception():
            log.error("%s: traffic could not go back: %s", name, error)
        return error is None


def all_to(splits: list[Split], chosen: str) -> list[dict[str, Any]]:
    """Splits as a spec writes them, with all traffic on one; shadows stay."""
    out = []
    for split in splits:
        written = split.model_dump(mode="json", exclude_unset=True)
        out.append(written if split.shadow else {**written, "weight": 100 * (split.name == chosen)})
    return out
