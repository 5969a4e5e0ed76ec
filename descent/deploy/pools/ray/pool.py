"""The replicas of one version on Ray: kept at their number, each request to the least loaded.

A replica that dies is started anew: at once when it had been ready, after 1, 2, 4 … 60 s when it
cannot load. Requests that come while none is ready wait up to `PATIENCE_S`, then get 503 with
Retry-After; one whose replica dies gets 502 with Retry-After (`Proxy`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import Any

from starlette.types import Receive, Scope, Send

from descent.deploy.pool import LoadError, Replica, Start
from descent.deploy.pools.command_client import Client
from descent.deploy.pools.command_proxy import Proxy
from descent.deploy.pools.ray.driving import Driving, RayUnavailable
from descent.deploy.pools.ray.guarding import with_secret
from descent.deploy.scale.shrinking import to_end
from descent.deploy.spec.containers import Compute

__all__ = ["RayPool"]

PATIENCE_S = 10.0
PLACE_S = 60.0  # a cluster that cannot grow has placed a replica by then, or has no room
SCALE_DOWN_GRACE_S = 60.0  # Cortex' grace on termination
STALLED_S = 15 * 60.0
AGAIN_S = 0.1
MOST_WAIT_S = 60.0


class RayPool:
    """One version on a cluster. `signature` is the service's own."""

    def __init__(self, start: Start, driving: Driving) -> None:
        self.signature: dict[str, Any] | None = None
        self._start = start
        self._driving = driving
        self._secret = secrets.token_hex(32)
        self._replicas: list[_Kept] = []
        self._leaving: dict[asyncio.Task[None], _Kept] = {}
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._proxy = Proxy(start.spec.name, self._replicas, plain=False)  # type: ignore[arg-type]

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a replica answer; waits a little while none is ready."""
        if not any(one.ready for one in self._replicas):
            await self._one_ready(scope["descent"].deadline)
        await self._proxy(with_secret(scope, self._secret), receive, send)

    async def begin(self, limit_s: float) -> None:
        """Start `init_replicas` and wait until they are ready. Raises `LoadError`."""
        await self.scale(self._start.spec.autoscaling.init_replicas or 0)
        waiting = [one.first for one in self._replicas]
        try:
            async with asyncio.timeout(limit_s):
                if waiting:
                    await asyncio.wait(
                        waiting, timeout=PLACE_S, return_when=asyncio.FIRST_EXCEPTION
                    )
                homeless = sum(one.waits_for_room for one in self._replicas)
                if homeless and self._driving.fixed:
                    raise LoadError(
                        f"the cluster has no room for {homeless} of {len(waiting)} replicas: "
                        "`descent cluster up --cpus` makes a larger one, compute.cpu asks for less"
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
                self._replicas.append(_Kept(self))
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

    def _retire(self, one: _Kept, grace_s: float) -> None:
        task = asyncio.ensure_future(one.end(grace_s))
        self._leaving[task] = one
        task.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def _one_ready(self, deadline: float | None) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        until = until if deadline is None else min(until, deadline - 0.1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while self._replicas and not any(one.ready for one in self._replicas):
                    if all(one.hopeless for one in self._replicas):
                        return
                    self._changed.clear()
                    await self._changed.wait()

    def _reasons(self) -> str:
        return "; ".join(sorted({one.reason for one in self._replicas if one.reason})) or "starting"


class _Kept:
    """One replica, kept alive: what `Proxy` needs to know of it, and its state."""

    def __init__(self, pool: RayPool) -> None:
        self._pool, self._start = pool, pool._start
        self.name = f"{self._start.spec.name}-{self._start.version}-{secrets.token_hex(3)}"
        self.client: Client | None = None
        self.in_flight = 0
        self.ready = self.hopeless = False
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.reason = ""
        self._state, self._born = "Requested", time.time()
        self._restarts = self._failures = 0
        self._memory: int | None = None
        self._again_at = 0.0
        self._incarnation = self._last = ""
        self._ended = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task = asyncio.ensure_future(self._keep())

    def back_in_s(self) -> float | None:
        """Seconds until its next start; None where nobody knows."""
        return max(0.1, self._again_at - time.monotonic()) if self._again_at else None

    def report(self) -> Replica:
        """Its state in Cortex' words."""
        state = self._state
        if state in ("Requested", "Creating") and time.time() - self._born > STALLED_S:
            state = "Stalled"
        return Replica(
            self.name, state, "" if self.ready else self.reason, self._born, self._restarts,
            self.in_flight, self._memory,
        )  # fmt: skip

    @property
    def waits_for_room(self) -> bool:
        """Ray has not found a machine for it yet."""
        return self._state == "Requested"

    async def end(self, grace_s: float) -> None:
        """Take no more requests, finish those there are, end."""
        self._task.cancel()
        self._be("Terminating", "told to end")
        until = time.monotonic() + grace_s
        while self.in_flight and time.monotonic() < until and not self._hurry.is_set():
            await asyncio.sleep(0.02)
        left = max(0.0, min(5.0, until - time.monotonic()))
        await self._pool._driving.stop(self._incarnation, left)
        if self.client is not None:
            self.client.close()

    def hurry(self, grace_s: float) -> None:
        """The pool closes: what is under way gets `grace_s`, not the grace of scaling down."""
        asyncio.get_running_loop().call_later(grace_s, self._hurry.set)

    async def _keep(self) -> None:
        """Start it, and start it again whenever it has ended."""
        while True:
            self._incarnation = f"{self.name}.{self._restarts}"
            again = f"starting again after: {self._last}" if self._last else ""
            self._be("Requested", again or "waiting for a machine with room")
            self._ended.clear()
            self._again_at = 0.0
            try:
                await self._pool._driving.start(
                    self._incarnation, self._hear, self._given(), self._options()
                )
                await self._ended.wait()
            except LoadError as error:
                self._be("Failed", str(error))
                if not self.first.done():
                    self.first.set_exception(error)
            if self.client is not None:
                self.client.close()
            wait = AGAIN_S if not self._failures else min(MOST_WAIT_S, 2.0 ** (self._failures - 1))
            self.hopeless = self._failures > 1
            self._again_at = time.monotonic() + wait
            await asyncio.sleep(wait)
            self._restarts += 1

    def _hear(self, event: dict[str, Any]) -> None:
        for entry in event.get("lines", ()):
            fields = {"replica": self.name, **entry}
            self._start.log(fields.pop("line"), **fields)
        if event["replica"] != self._incarnation:
            return
        match event["event"]:
            case "placed":
                self._be("Creating", f"loading on {event['machine']} (process {event['pid']})")
            case "ready":
                self._take(event)
            case "news":
                self._memory = event["memory"]
                if event["state"] != self._state:
                    self._be(event["state"], event["reason"])
            case "failed":
                self._end_of_it("Failed", event["reason"])
            case "died":
                self._end_of_it(event["state"], event["reason"])

    def _take(self, event: dict[str, Any]) -> None:
        self.client = Client((event["host"], event["port"]))
        self._pool.signature = event["signature"]
        self._failures, self._born, self.hopeless = 0, time.time(), False
        self._be("Ready", "")
        if not self.first.done():
            self.first.set_result(None)

    def _end_of_it(self, state: str, reason: str) -> None:
        was_ready = self.ready or self._state == "NotReady"
        self._failures = 0 if was_ready else self._failures + 1
        self._last = f"{state}, {reason}"
        self._be(state, reason)
        self._start.log(f"{state}: {reason}", level="error", replica=self.name)
        self._pool._driving.forget(self._incarnation)
        self._memory = None
        if not self.first.done():
            self.first.set_exception(LoadError(reason))
        self._ended.set()

    def _be(self, state: str, reason: str) -> None:
        self._state, self.reason = state, reason
        self.ready = state == "Ready"
        self._pool._changed.set()

    def _given(self) -> dict[str, Any]:
        start, address = self._start, self._pool._driving.address
        return {
            "spec": start.spec.model_dump(mode="json"),
            "version": start.version,
            "folder": str(start.folder.absolute()),
            "config": start.config,
            "secret": self._pool._secret,
            "host": address.host if address else "",
        }

    def _options(self) -> dict[str, Any]:
        """What a replica asks of its machine: Cortex' compute of the first container."""
        containers = self._start.spec.pod.containers
        compute = containers[0].compute if containers else Compute()
        options: dict[str, Any] = {
            "num_cpus": compute.cpu or 0,
            "num_gpus": compute.gpu,
            "max_restarts": 0,  # it is started anew from here, where its state is known
            "max_concurrency": 100,
        }
        if compute.mem is not None:
            options["memory"] = compute.mem
        fits = [
            machine
            for machine in self._pool._driving.machines
            if machine.get("CPU", 0) >= options["num_cpus"]
            and machine.get("GPU", 0) >= options["num_gpus"]
            and machine.get("memory", 0) >= options.get("memory", 0)
        ]
        if self._pool._driving.machines and not fits:
            raise RayUnavailable(
                f"no machine of the cluster has {options['num_cpus']:g} CPUs, "
                f"{options['num_gpus']} GPUs and {options.get('memory', 0)} bytes for a replica"
            )
        return options
