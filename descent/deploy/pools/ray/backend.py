"""The backend by name "ray": versions become pools of actors on one cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from descent.deploy.pool import LoadError, Start
from descent.deploy.pools.ray.driving import Address, Driving, RayUnavailable
from descent.deploy.pools.ray.pool import RayPool

__all__ = ["RayBackend"]

READY_LIMIT_S = 15 * 60.0  # Cortex calls a replica stalled after this


class RayBackend:
    """Starts pools on the cluster that `find()` names, or `DESCENT_RAY_ADDRESS`; Ray is imported by
    the driver process only, when the first pool is started."""

    name = "ray"

    def __init__(
        self,
        find: Callable[[], Address | None] = lambda: None,
        *,
        ready_limit_s: float = READY_LIMIT_S,
    ) -> None:
        self._driving = Driving(lambda: _found(find))
        self._ready_limit_s = ready_limit_s
        self._pools: set[RayPool] = set()

    async def start(self, start: Start) -> RayPool:
        """Start the first replicas and wait until they are ready. Raises `LoadError`."""
        spec = start.spec
        if spec.service is None:
            raise LoadError(
                f"'{spec.name}' has containers; backend ray runs a `service`. Containers run under "
                "backend command, or on Kubernetes as they are"
            )
        await self._driving.connect()
        pool = RayPool(start, self._driving)
        self._pools.add(pool)
        try:
            await pool.begin(self._ready_limit_s)
        except BaseException:
            await pool.close(0.0)
            self._pools.discard(pool)
            raise
        return pool

    async def close(self) -> None:
        """End every pool, then the driver."""
        await asyncio.gather(*(pool.close(5.0) for pool in self._pools))
        self._pools.clear()
        await self._driving.close()


def _found(find: Callable[[], Address | None]) -> Address:
    """The cluster to use. Raises `RayUnavailable`, which says how to get one."""
    if given := os.environ.get("DESCENT_RAY_ADDRESS"):
        return Address(given)
    if (found := find()) is not None:
        return found
    raise RayUnavailable(
        "there is no Ray cluster: `descent cluster up` starts one on this machine, "
        "DESCENT_RAY_ADDRESS names another"
    )
