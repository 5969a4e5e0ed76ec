"""One version brought up: a pool, loaded and warmed, behind the gateway's admission.

spec → backend.start → Pool → Served(app, limits) = Live
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from descent.deploy.control.journals import Journal
from descent.deploy.errors import HttpError, send_error
from descent.deploy.gateway import Limits, Served
from descent.deploy.pool import Backend, LoadError, Pool, Start
from descent.deploy.pools.residing import start_resident
from descent.deploy.resident import Residents
from descent.deploy.spec import Spec

__all__ = ["Live", "Refusal", "Starter", "backend_of", "held", "limits_of", "ready"]


OWN_ADMISSION = 128  # at once into an application that bounds itself
MOST_GROW_S = 120.0
_loads = itertools.count(1)


@dataclass(eq=False)
class Live:
    """A version that answers. `pool` is None where nothing runs between requests (a task)."""

    version: int
    spec: Spec
    pool: Pool | None
    served: Served
    log: Journal
    loaded_s: float = 0.0

    def take(self, place: Served) -> None:
        """Answer from a place where requests wait; they are let in."""
        own, self.served = self.served, place
        place.app, place.signature, place.version = own.app, own.signature, own.version
        place.set_limits(own.limits)

    async def close(self, grace_s: float) -> None:
        """Free everything; whoever calls has seen to it that nothing is under way."""
        if self.pool is not None:
            await self.pool.close(grace_s)
        self.log(f"version {self.version} ended")
        self.log.close()


class Starter:
    """Brings versions up on the backend that their spec names."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        logs: Path,
        *,
        default: str = "local",
        load_s: float | None = None,
        residents: Residents | None = None,
    ) -> None:
        self.backends = backends
        self.residents = residents
        self.logs = logs
        self.default = default
        self.load_s = load_s

    def forget_logs(self, api: str, version: int | None = None) -> None:
        """Remove the logs of a version that is far back, or of an API that was deleted."""
        if version is None:
            shutil.rmtree(self.logs / api, ignore_errors=True)
        else:
            for file in (self.logs / api).glob(f"{version}.jsonl*"):
                file.unlink(missing_ok=True)

    async def start(self, spec: Spec, version: int, folder: Path) -> Live:
        """Load and warm.

        Raises `LoadError` with what its owner must know; nothing is left running.
        """
        log = Journal(self.logs, spec.name, version)
        began = time.monotonic()
        log(f"loading version {version}")
        try:
            pool = await self._pool(spec, version, folder, log)
        except BaseException as error:
            log(f"version {version} could not be loaded: {error or type(error).__name__}",
                level="error")  # fmt: skip
            log.close()
            raise
        loaded_s = time.monotonic() - began
        log(f"version {version} is ready after {loaded_s:.2f} s")
        spec = _as_able(spec, pool)
        served = self._served(spec, version, pool)
        return Live(version, spec, pool, served, log, loaded_s)

    def _served(self, spec: Spec, version: int, pool: Pool | None) -> Served:
        app = Refusal("nothing answers at once here") if pool is None else pool.app
        signature = None if pool is None else pool.signature
        replicas = 1 if pool is None else max(1, len(pool.replicas()))
        limits = limits_of(spec, replicas, signature)
        return Served(spec.name, version, app, limits, signature)

    async def grow(self, live: Live, replicas: int) -> None:
        """Bring a new version to as many replicas as the one it follows has, before requests come
        to it; what is not ready after `MOST_GROW_S` comes later. In this process one is all."""
        pool = live.pool
        if pool is None or backend_of(live.spec, self.default) == "local":
            return
        replicas = min(replicas, live.spec.autoscaling.max_replicas)
        if replicas <= ready(pool):
            return
        live.log(f"to {replicas} replicas, as the version before")
        try:
            await pool.scale(replicas)
        except LoadError as error:  # what there is answers; the autoscaler goes on trying
            live.log(f"could not grow to {replicas} replicas: {error}", level="warning")
        until = time.monotonic() + MOST_GROW_S
        while ready(pool) < replicas and time.monotonic() < until:
            await asyncio.sleep(0.05)
        live.served.set_limits(limits_of(live.spec, max(1, ready(pool)), live.served.signature))

    async def _pool(self, spec: Spec, version: int, folder: Path, log: Journal) -> Pool | None:
        if spec.kind in ("TaskAPI", "TrafficSplitter"):
            return None  # a task runs in a process of its own; a splitter only chooses
        backend = self.backends[backend_of(spec, self.default)]
        start = Start(spec, version, folder, log, dict(spec.config))
        try:
            return await asyncio.wait_for(self._started(backend, start), self.load_s)
        except LoadError:
            raise
        except TimeoutError as error:
            raise LoadError(f"loading took longer than {self.load_s:g} s") from error
        except MemoryError as error:
            raise LoadError("there is not enough memory to load it") from error
        except Exception as error:
            raise LoadError(f"{type(error).__name__}: {error}") from error

    async def _started(self, backend: Backend, start: Start) -> Pool:
        """Loaded; in this process and under a memory limit, as long as it is asked."""
        residents, idle_s = self.residents, start.spec.idle_unload_s
        if backend.name != "local" or residents is None:
            return await backend.start(start)
        if residents.limit_bytes is None and idle_s is None:
            return await backend.start(start)
        key = f"{start.spec.name} version {start.version} ({next(_loads)})"  # a refresh is another
        return await start_resident(residents, key, lambda: backend.start(start), idle_s)


def ready(pool: Pool) -> int:
    """How many replicas answer."""
    return sum(replica.state.startswith("Ready") for replica in pool.replicas())


def backend_of(spec: Spec, default: str) -> str:
    """The backend a spec runs on: its own, "command" for containers, else the node's."""
    if spec.backend is not None:
        return spec.backend
    return default if spec.service is not None else "command"


def _as_able(spec: Spec, pool: Pool | None) -> Spec:
    """The spec, with the concurrency that its service can do where its author has set none."""
    able = (pool.signature or {}).get("concurrency") if pool is not None else None
    if able is None or "max_concurrency" in spec.pod.model_fields_set:
        return spec
    return spec.model_copy(update={"pod": spec.pod.model_copy(update={"max_concurrency": able})})


def limits_of(spec: Spec, replicas: int = 1, signature: Mapping[str, Any] | None = None) -> Limits:
    """Admission for so many replicas. An application with paths of its own (FastAPI's, a text
    model's with continuous batching) bounds itself: where its spec does not say
    `pod.max_concurrency`, Cortex' default of 1 would only stand in its way."""
    at_once = spec.pod.max_concurrency
    if signature and signature.get("paths") and "max_concurrency" not in spec.pod.model_fields_set:
        at_once = OWN_ADMISSION
    return Limits(
        max_concurrency=at_once * replicas,
        max_queue_length=spec.pod.max_queue_length * replicas,
        timeout_s=spec.timeout_s,
        max_body_bytes=spec.max_body_bytes,
        overflow_status=spec.overflow_status,
    )


def held(spec: Spec, version: int) -> Served:
    """A place in the gateway where requests wait until the version is loaded."""
    served = Served(spec.name, version, Refusal("it is being loaded"), limits_of(spec))
    served.hold()
    return served


class Refusal:
    """Answers 503 with the reason."""

    def __init__(self, reason: str, retry_after_s: float = 5.0) -> None:
        self.reason, self.retry_after_s = reason, retry_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = HttpError(503, "not_ready", self.reason, retry_after_s=self.retry_after_s)
        await send_error(send, error, scope["descent"].request_id)
