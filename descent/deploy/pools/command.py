"""The "command" backend: every replica is a process (or several) of its own.

For the containers of a spec (Cortex'): `command`, `args`, `env`, probes, `pre_stop`; and for our
own services, so that a crash, or work that only a kill can stop, costs a child and not the node.
What it cannot give without Docker: a file system and a network of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from descent.deploy.pool import LoadError, Replica, Start
from descent.deploy.pools.child_counts import Families
from descent.deploy.pools.command_containers import free_port
from descent.deploy.pools.command_docker import docker_answers, remove_leftovers
from descent.deploy.pools.command_proxy import Proxy
from descent.deploy.pools.command_replica import ReplicaRun
from descent.deploy.service.counting import ServiceCounts

__all__ = ["CommandBackend", "CommandPool"]

READY_LIMIT_S = 15 * 60.0  # Cortex calls a replica stalled after this
PATIENCE_S = 10.0  # a request waits this long for a replica that is being restarted
LOOK_S = 0.02
SCALE_DOWN_GRACE_S = 60.0  # Cortex' grace on termination


class CommandBackend:
    """Starts pools of processes. `ready_limit_s`: how long a version may take to become ready."""

    name = "command"

    def __init__(self, *, ready_limit_s: float = READY_LIMIT_S) -> None:
        self._ready_limit_s = ready_limit_s
        self._pools: set[CommandPool] = set()
        self._counts: dict[str, ServiceCounts] = {}

    async def start(self, start: Start) -> CommandPool:
        """Start the first replicas and wait until they are ready. Raises LoadError."""
        if any(one.image is not None for one in start.spec.pod.containers):
            await docker_answers(start.spec.name)
            for gone in await remove_leftovers():
                start.log(f"removed container {gone}, left by a node that was killed")
        counts = self._counts.setdefault(start.spec.name, ServiceCounts())
        pool = CommandPool(start, self._pools.discard, counts)
        self._pools.add(pool)
        try:
            await pool.begin(self._ready_limit_s)
        except BaseException:
            await pool.close(0.0)
            raise
        return pool

    async def close(self) -> None:
        """End every pool it has started."""
        await asyncio.gather(*(pool.close(5.0) for pool in list(self._pools)))


class CommandPool:
    """The replicas of one version. `signature` is that of our own service; None for containers."""

    def __init__(
        self, start: Start, on_close: Callable[[CommandPool], None], counts: ServiceCounts
    ) -> None:
        self._start = start
        self._on_close = on_close
        self._replicas: list[ReplicaRun] = []
        self._leaving: dict[asyncio.Task[None], ReplicaRun] = {}
        self._made = 0
        self._folder: Path | None = None
        self._closed = False
        self._changing = asyncio.Lock()
        own = start.spec.service is not None
        most = None if own else start.spec.pod.max_concurrency  # our own bounds itself
        self.app: ASGIApp = Proxy(
            start.spec.name, self._replicas, plain=not own, most=most, worth_waiting=self._one_ready
        )
        self.signature: dict[str, Any] | None = None
        self.counts = counts if own else None
        self._counts = counts
        self.metrics = Families(self._families) if own else None

    async def begin(self, limit_s: float) -> None:
        """Start `init_replicas` and wait until all of them are ready. Raises LoadError."""
        wanted = self._start.spec.autoscaling.init_replicas or 0
        await self.scale(wanted)
        starting = [asyncio.ensure_future(one.wait_ready(limit_s)) for one in self._replicas]
        try:
            await asyncio.gather(*starting)
        except LoadError as error:
            raise LoadError(f"'{self._start.spec.name}' cannot start: {error}") from None
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
        if self._replicas and self._start.spec.service is not None:
            self.signature = await self._replicas[0].read_signature()

    def replicas(self) -> list[Replica]:
        """Every replica, those that are leaving too."""
        return [one.report() for one in [*self._replicas, *self._leaving.values()]]

    def _families(self) -> list[str]:
        return [one.families for replica in self._replicas for one in replica.containers]

    async def scale(self, replicas: int) -> None:
        """Start what is missing, end what is too many: starting ones first, then the youngest."""
        async with self._changing:
            if self._closed:
                return
            while len(self._replicas) < replicas:
                self._replicas.append(self._new())
            while len(self._replicas) > replicas:
                starting = [one for one in self._replicas if not one.been_ready]
                leaving = (starting or self._replicas)[-1]
                self._replicas.remove(leaving)
                leaving.retire()
                task = asyncio.ensure_future(leaving.stop(SCALE_DOWN_GRACE_S))
                self._leaving[task] = leaving
                task.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def close(self, grace_s: float) -> None:
        """End all replicas, within `grace_s` where they heed SIGTERM."""
        async with self._changing:
            self._closed = True
            leaving = list(self._leaving.values())
            replicas, self._replicas[:] = list(self._replicas), []
            for task in list(self._leaving):
                task.cancel()
            await asyncio.gather(*list(self._leaving), return_exceptions=True)
            await asyncio.gather(*(one.stop(grace_s) for one in [*replicas, *leaving]))
            if self._folder is not None:
                with contextlib.suppress(OSError):
                    shutil.rmtree(self._folder)
        self._on_close(self)

    async def _one_ready(self, refused: ReplicaRun | None) -> bool:
        """Wait a little for a ready replica; `refused` is one that is dying, or whose server is
        starting anew."""
        if refused is not None:
            refused.look_again()
        until = time.monotonic() + PATIENCE_S
        while not any(one.ready for one in self._replicas):
            left = until - time.monotonic()
            if left < 0 or not any(one.coming(left) for one in self._replicas):
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def _new(self) -> ReplicaRun:
        spec = self._start.spec
        self._made += 1
        name = f"{spec.name}-{self._start.version}-{secrets.token_hex(3)}"
        address: tuple[str, int] | str = ("127.0.0.1", free_port())
        if spec.service is not None:
            if self._folder is None:  # short: a socket's path has room for 107 characters
                self._folder = Path(tempfile.mkdtemp(prefix="descent-"))
            address = str(self._folder / f"{self._made}.sock")
        return ReplicaRun(self._start, name, address, self._counts)
