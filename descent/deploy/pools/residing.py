"""A pool that is in memory while it is asked: several APIs in one process under a memory limit.

    backend.start → loaded, warmed, measured → unloaded for others, or when idle → a request: loaded

Only for the "local" backend: other processes' memory is not this process's. Reference: resident.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from starlette.types import Receive, Scope, Send

from descent.deploy.errors import HttpError
from descent.deploy.pool import LoadError, Pool, Replica
from descent.deploy.resident import Residents

__all__ = ["ResidentPool", "start_resident"]


class ResidentPool:
    """`pool`, which `residents` loads (`scale(1)`) and unloads (`scale(0)`)."""

    def __init__(
        self, pool: Pool, residents: Residents, key: str, idle_s: float | None = None
    ) -> None:
        self.pool = pool
        self.key = key
        self.signature: dict[str, Any] | None = pool.signature
        self._residents, self._idle_s = residents, idle_s
        self._lease()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; the first request after an unload waits for the load."""
        lease = self._lease()
        try:
            await lease.__aenter__()
        except LoadError as error:
            raise HttpError(503, "not_ready", str(error), retry_after_s=5) from error
        try:
            await self.pool.app(scope, receive, send)
        finally:
            await lease.__aexit__()

    def replicas(self) -> list[Replica]:
        """Those of the pool; one that loads when it is asked is Ready."""
        return [
            replace(found, state="Ready", reason="unloaded; a request loads it")
            if found.state == "Pending"
            else found
            for found in self.pool.replicas()
        ]

    async def scale(self, replicas: int) -> None:
        """The pool's own."""
        await self.pool.scale(replicas)

    async def close(self, grace_s: float) -> None:
        """End it; it counts no longer."""
        await self._residents.forget(self.key)
        await self.pool.close(grace_s)

    def _lease(self) -> Any:
        return self._residents.use(
            self.key, self._load, self._unload, size=self._size, idle_s=self._idle_s
        )

    async def _load(self) -> None:
        await self.pool.scale(1)
        self.signature = self.pool.signature or self.signature

    async def _unload(self, _: Any) -> None:
        await self.pool.scale(0)

    def _size(self, _: Any) -> int | None:
        known = [replica.memory_bytes for replica in self.pool.replicas()]
        return None if None in known else sum(size or 0 for size in known)


async def start_resident(
    residents: Residents,
    key: str,
    start: Callable[[], Awaitable[Pool]],
    idle_s: float | None = None,
) -> ResidentPool:
    """Start a pool, one at a time (so that its size is its own), and make room for it.

    Raises `LoadError` as `start` does, and where it alone is larger than the limit.
    """
    async with residents.one_load():
        pool = await start()
        made = ResidentPool(pool, residents, key, idle_s)
        try:
            await residents.settle(key)
        except BaseException:
            await made.close(1.0)
            raise
    return made
