"""The "local" backend: services in this process, each version its own code, threads and log.

    start: import the code → make it → load() → warm up → answer     (in threads)
    scale(0): unload; scale(1): load again        check_health() fails three times: load it anew

One copy serves an API, with `pod.max_concurrency` requests at once: further copies in one process
would share its processor and cost their memory again (`autoscaling.max_replicas` counts elsewhere).
A service that can crash its process belongs in "command".
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.pool import LoadError, Replica, Start
from descent.deploy.pools.memory import resident_bytes
from descent.deploy.pools.output import Output, claimed
from descent.deploy.service.app import ServiceApp
from descent.deploy.service.counting import ServiceCounts
from descent.deploy.service.living import around, illness, make, unload, warm

__all__ = ["LocalBackend", "LocalPool"]

HEALTH_PERIOD_S = 10.0  # Cortex' liveness probe: every 10 s, three failures in a row
HEALTH_FAILURES = 3
SWITCH_INTERVAL_S = 0.0005  # Python's 5 ms cost requests beside a busy service 26 ms at the p99


class LocalBackend:
    """Services in this process."""

    name = "local"

    def __init__(self) -> None:
        # A thread in Python code keeps the interpreter for this long while the event loop waits.
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))
        self._pools: set[LocalPool] = set()
        self._counts: dict[str, ServiceCounts] = {}

    async def start(self, start: Start) -> LocalPool:
        """Load and warm a version. Raises `LoadError`; then nothing of it is left."""
        counts = self._counts.setdefault(start.spec.name, ServiceCounts())
        pool = LocalPool(start, self._pools.discard, counts)
        try:
            await pool.scale(1)
        except BaseException:
            await pool.close(0.0)
            raise
        self._pools.add(pool)
        return pool

    async def close(self) -> None:
        """End every pool."""
        await asyncio.gather(*(pool.close(5.0) for pool in list(self._pools)))


class LocalPool:
    """One version, in this process. `counts`: of its API's work, by earlier versions too."""

    def __init__(
        self,
        start: Start,
        on_close: Callable[[LocalPool], None] | None = None,
        counts: ServiceCounts | None = None,
    ) -> None:
        self.signature: dict[str, Any] | None = None
        self.counts = ServiceCounts() if counts is None else counts
        self._start = start
        self._output = Output(start.log)
        self._on_close = on_close
        self._service: ServiceApp | None = None
        self._replica = Replica(
            f"{start.spec.name}-{start.version}-{uuid.uuid4().hex[:6]}", "Requested"
        )
        self._changing = asyncio.Lock()
        self._health: asyncio.Task[None] | None = None
        self._closed = False

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; 503 while there is nothing loaded."""
        service = self._service
        if service is None:
            context = scope.get("descent")
            said = self._replica.reason or self._replica.state
            error = HttpError(
                503, "not_ready", f"The service is not loaded: {said}.", retry_after_s=1
            )
            return await send_error(send, error, context and context.request_id)
        token = claimed.set(self._output)
        try:
            await service(scope, receive, send)
        finally:
            claimed.reset(token)

    @property
    def metrics(self) -> Any:
        """The service's own collector, if any: what has `collect()`, as Prometheus' registry."""
        metrics = (
            None if self._service is None else getattr(self._service.instance, "metrics", None)
        )
        return metrics if hasattr(metrics, "collect") else None

    @property
    def stoppable(self) -> bool:
        """Whether work nobody waits for may be ended (the service's own word)."""
        return self._service is None or getattr(self._service.instance, "stoppable", True)

    def replicas(self) -> list[Replica]:
        """The one copy."""
        replica, service = self._replica, self._service
        replica.in_flight = service.in_flight if service is not None else 0
        return [replica]

    async def scale(self, replicas: int) -> None:
        """0 unloads; any other number loads, if nothing is; closed, it stays so. Raises
        `LoadError`."""
        async with self._changing:
            if self._closed:
                return
            if replicas and self._service is None:
                await self._load()
                self._begin_health()
            elif not replicas and self._service is not None:
                self._replica.reason = "scaled to zero"
                await self._unload(grace_s=5.0)

    async def close(self, grace_s: float) -> None:
        """Unload, and end the threads within `grace_s`."""
        async with self._changing:
            self._closed = True
            await self._unload(grace_s)
        self._output.close()
        if self._on_close is not None:
            self._on_close(self)

    async def _load(self) -> None:
        self._replica.state, self._replica.reason = "Creating", "loading"
        started, before = time.perf_counter(), resident_bytes()
        try:
            service = await self._opened()
        except LoadError as error:
            self._replica.state, self._replica.reason = "Failed", str(error)
            raise
        self._take(service)
        after = resident_bytes()
        if before is not None and after is not None:
            self._replica.memory_bytes = max(0, after - before)
        self._start.log(f"loaded in {time.perf_counter() - started:.2f} s", level="info")

    async def _opened(self) -> ServiceApp:
        """Made, loaded, warmed; nothing of it is left if that fails."""
        start = self._start
        with self._output.taken():
            instance = await make(start)
            service = None
            try:
                service = await around(instance, start, self.counts)
                await service.start()
                await warm(service, start.spec.warm_up)
                return service
            except BaseException as error:
                if service is not None:
                    await service.close(1.0)
                await unload(instance, start.log)
                if isinstance(error, Exception) and not isinstance(error, LoadError):
                    raise LoadError(f"the application's start failed: {error}") from error
                raise

    def _take(self, service: ServiceApp) -> None:
        self._service, self.signature = service, service.signature
        self._replica.state, self._replica.reason = "Ready", ""
        self._replica.started = time.time()

    async def _unload(self, grace_s: float) -> None:
        service, self._service = self._service, None
        if self._health is not None:
            self._health.cancel()
            self._health = None  # it would keep the instance
        self._replica.state = "Terminating" if service is not None else self._replica.state
        if service is not None:
            await self._end(service, grace_s)
        self._replica.state, self._replica.memory_bytes = "Pending", None

    async def _end(self, service: ServiceApp, grace_s: float) -> None:
        with self._output.taken():
            await service.close(grace_s)
            await unload(service.instance, self._start.log)

    def _begin_health(self) -> None:
        if self._service is not None and hasattr(self._service.instance, "check_health"):
            self._health = asyncio.create_task(self._watch_health())

    async def _watch_health(self) -> None:
        failures = 0
        while True:
            await asyncio.sleep(HEALTH_PERIOD_S)
            failures = await self._examine(failures)

    async def _examine(self, failures: int) -> int:
        """How many failures in a row there are now."""
        service = self._service
        if service is None:
            return 0
        with self._output.taken():
            reason = await illness(service.instance.check_health)
        self._replica.state = "NotReady" if reason else "Ready"
        self._replica.reason = reason
        if reason and failures + 1 >= HEALTH_FAILURES:
            await self._replace(service, reason)
            return 0
        return failures + 1 if reason else 0

    async def _replace(self, service: ServiceApp, reason: str) -> None:
        """Load it anew; the sick one answers until then, and is kept if that fails."""
        self._start.log(f"loaded anew: check_health failed: {reason}", level="warning")
        async with self._changing:
            if self._service is not service:
                return
            try:
                self._take(await self._opened())
            except LoadError as error:
                self._replica.reason = f"{reason}; loading it anew failed: {error}"
                return
            self._replica.restarts += 1
        await self._end(service, 30.0)
