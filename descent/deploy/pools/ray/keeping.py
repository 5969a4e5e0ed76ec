"""One replica on Ray, kept alive: started, heard, started again.

    Requested → Creating → Ready ⇄ NotReady → Killed | KilledOOM | Stalled | Failed | Unknown → …

One that dies is started anew: at once when it had been ready, after 0.25, 0.5 … 4 s when it died
while it was loading, after 1, 2 … 60 s when it cannot load, every few seconds without a cluster.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from descent.deploy import tracing
from descent.deploy.pool import LoadError, Replica, Start
from descent.deploy.pools.command_client import Client
from descent.deploy.pools.ray.driving import Driving, RayUnavailable
from descent.deploy.spec.containers import Compute

__all__ = ["Kept"]

STALLED_S = 15 * 60.0  # Cortex'
AGAIN_S = 0.1
# First pause, longest pause (s), failures in a row from which on requests need not wait for it.
CANNOT_LOAD, DIES, NO_CLUSTER = (1.0, 60.0, 2), (0.25, 4.0, 5), (1.0, 5.0, 2)


class Kept:
    """One replica, kept alive: what `Proxy` needs to know of it, and its state."""

    def __init__(
        self,
        start: Start,
        driving: Driving,
        secret: str,
        note: Callable[[dict[str, Any] | None], None],
    ) -> None:
        self._start, self._driving, self._secret, self._note = start, driving, secret, note
        self.name = f"{self._start.spec.name}-{self._start.version}-{secrets.token_hex(3)}"
        self.client: Client | None = None
        self.in_flight = 0
        self.ready = self.hopeless = False
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.reason = ""
        self._state, self._born = "Requested", time.time()
        self._restarts = self._failures = 0
        self._pauses = CANNOT_LOAD
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

    def note_silence(self) -> None:
        """Its port does not answer; if it lives, its next news makes it ready again."""
        if self.ready:
            self._be("NotReady", "its port does not answer")

    async def end(self, grace_s: float) -> None:
        """Take no more requests, finish those there are, end."""
        self._task.cancel()
        self._be("Terminating", "told to end")
        until = time.monotonic() + grace_s
        while self.in_flight and time.monotonic() < until and not self._hurry.is_set():
            await asyncio.sleep(0.02)
        left = max(0.0, min(5.0, until - time.monotonic()))
        await self._driving.stop(self._incarnation, left)
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
                await self._driving.start(
                    self._incarnation, self._hear, self._given(), self._options()
                )
                await self._ended.wait()
            except LoadError as error:
                self._be("Unknown", str(error))
                self._last, self._failures = str(error), self._failures + 1
                self._pauses = NO_CLUSTER
                if not self.first.done():
                    self.first.set_exception(error)
            if self.client is not None:
                self.client.close()
            first_s, most_s, hope = self._pauses
            wait = min(most_s, first_s * 2.0 ** (self._failures - 1)) if self._failures else AGAIN_S
            self.hopeless = self._failures >= hope
            self._again_at = time.monotonic() + wait
            await asyncio.sleep(wait)
            self._restarts += 1

    def _hear(self, event: dict[str, Any]) -> None:
        for entry in event.get("lines", ()):
            fields = {"replica": self.name, **entry}
            self._start.log(fields.pop("line"), **fields)
        if event["replica"] != self._incarnation or self._state == "Terminating":
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
                self._pauses = CANNOT_LOAD
                self._end_of_it("Failed", event["reason"])
            case "died":
                self._pauses = DIES
                self._end_of_it(event["state"], event["reason"])

    def _take(self, event: dict[str, Any]) -> None:
        self.client = Client((event["host"], event["port"]))
        self._failures, self._born, self.hopeless = 0, time.time(), False
        self._be("Ready", "", event["signature"])
        if not self.first.done():
            self.first.set_result(None)

    def _end_of_it(self, state: str, reason: str) -> None:
        was_ready = self.ready or self._state == "NotReady"
        self._failures = 0 if was_ready else self._failures + 1
        self._last = f"{state}, {reason}"
        self._be(state, reason)
        self._start.log(f"{state}: {reason}", level="error", replica=self.name)
        self._driving.forget(self._incarnation)
        self._memory = None
        if not self.first.done():
            self.first.set_exception(LoadError(reason))
        self._ended.set()

    def _be(self, state: str, reason: str, signature: dict[str, Any] | None = None) -> None:
        self._state, self.reason = state, reason
        self.ready = state == "Ready"
        self._note(signature)

    def _given(self) -> dict[str, Any]:
        start, address = self._start, self._driving.address
        return {
            "spec": start.spec.model_dump(mode="json"),
            "version": start.version,
            "folder": str(start.folder.absolute()),
            "config": start.config,
            "secret": self._secret,
            "host": address.host if address else "",
            "traces": tracing.variables(),
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
            for machine in self._driving.machines
            if machine.get("CPU", 0) >= options["num_cpus"]
            and machine.get("GPU", 0) >= options["num_gpus"]
            and machine.get("memory", 0) >= options.get("memory", 0)
        ]
        if self._driving.machines and not fits:
            raise RayUnavailable(
                f"no machine of the cluster has {options['num_cpus']:g} CPUs, "
                f"{options['num_gpus']} GPUs and {options.get('memory', 0)} bytes for a replica"
            )
        return options
