"""The replicas of one version on Ray: kept at their number, each request to the least loaded.

Requests that come while none is ready wait up to `PATIENCE_S`, then get 503 with
Retry-After; one whose replica dies gets 502 with Retry-After (`Proxy`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any

from starlette.types import Receive, Scope, Send

from descent.deploy.pool import LoadError, Replica, Start
from descent.deploy.pools.command_proxy import Proxy
from descent.deploy.pools.ray.driving import Driving
from descent.deploy.pools.ray.guarding import with_secret
from descent.deploy.pools.ray.keeping import Kept
from descent.deploy.scale.shrinking import to_end

__all__ = ["RayPool"]

PATIENCE_S = 10.0
PLACE_S = 60.0  # a cluster that cannot grow has placed a replica by then, or has no room
SCALE_DOWN_GRACE_S = 60.0  # Cortex' grace on termination


class RayPool:
    """One version on a cluster. `signature` is the service's own."""

    def __init__(self, start: Start, driving: Driving) -> None:
        self.signature: dict[str, Any] | None = None
        self._start = start
        self._driving = driving
        self._secret = secrets.token_hex(32)
        self._replicas: list[Kept] = []
        self._leaving: dict[asyncio.Task[None], Kept] = {}
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._proxy = Proxy(
            start.spec.name,
            self._replicas,  # type: ignore[arg-type]
            plain=False,
            worth_waiting=self._worth_waiting,
        )

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a replica answer; waits a little while none is ready."""
        await self._proxy(with_secret(scope, self._secret), receive, send)

    async def begin(self, limit_s: float) -> None:
        """Start `init_replicas` and wait until they are ready. Raises `LoadError`."""
        await self.scale(self._start.spec.autoscaling.init_replicas or 0)
        waiting = [one.first for one in self._replicas]
        try:
            async with asyncio.timeout(limit_s):
                await _first(waiting)
                homeless = sum(one.waits_for_room for one in self._replicas)
                if homeless and self._driving.fixed:
                    raise LoadError(
                        f"the cluster has no room for {homeless} of {len(waiting)} replicas: "
                        "`descent cluster up --cpus` makes a larger one"
                    )
                await asyncio.gather(*waiting)
        except TimeoutError:
            raise LoadError(f"not ready within {limit_s:g} s: {self._reasons()}") from None

    def replicas(self) -> list[Replica]:
        """Every replica, those that are leaving too."""
        return [one.report() for one in [*self._replicas, *self._leaving.values()]]

    async def scale(self, replicas: int) -> None:
        """Start what is missing; end what is too many, those first that do not answer yet."""
        async with self._changing:
            while len(self._replicas) < replicas:
                self._replicas.append(Kept(self._start, self._driving, self._secret, self._note))
            by_name = {one.name: one for one in self._replicas}
            for report in to_end([one.report() for one in self._replicas], replicas):
                leaving = by_name[report.id]
                self._replicas.remove(leaving)
                self._retire(leaving, SCALE_DOWN_GRACE_S)

    async def close(self, grace_s: float) -> None:
        """End every replica within `grace_s`."""
        async with self._changing:
            for one in [*self._replicas]:
                self._replicas.remove(one)
                self._retire(one, grace_s)
            for one in self._leaving.values():
                one.hurry(grace_s)
            await asyncio.gather(*list(self._leaving), return_exceptions=True)

    def _note(self, signature: dict[str, Any] | None) -> None:
        """A replica has changed; one that has become ready says what its service takes."""
        self.signature = signature or self.signature
        self._changed.set()

    def _retire(self, one: Kept, grace_s: float) -> None:
        task = asyncio.ensure_future(one.end(grace_s))
        self._leaving[task] = one
        task.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def _worth_waiting(self, replica: Any) -> bool:
        """None is ready, or this one, which was, does not listen: wait for one that does."""
        if replica is not None:
            replica.note_silence()  # Ray will say in a moment what has become of it
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not any(one.ready for one in self._replicas):
                    if all(one.hopeless for one in self._replicas):
                        return False
                    self._changed.clear()
                    await self._changed.wait()
                return True
        return False

    def _reasons(self) -> str:
        return "; ".join(sorted({one.reason for one in self._replicas if one.reason})) or "starting"


async def _first(waiting: list[asyncio.Future[None]]) -> None:
    """Until all are ready, `PLACE_S` at most. Raises what the first that fails raises."""
    if waiting:
        done, _ = await asyncio.wait(waiting, timeout=PLACE_S, return_when=asyncio.FIRST_EXCEPTION)
        for one in done:
            one.result()
