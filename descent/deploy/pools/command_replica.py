"""One replica: its containers, and whether it can answer.

It is ready when every readiness probe says so and something listens at its address. Without a
probe, listening is being ready, as in Cortex. Then it answers the spec's `warm_up` inputs, and only
then gets requests.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

from descent.deploy.asking import ask
from descent.deploy.pool import Context, LoadError, Replica, Start
from descent.deploy.pools.child_counts import Tally
from descent.deploy.pools.command_client import Client, UpstreamError
from descent.deploy.pools.command_container import ContainerRun
from descent.deploy.pools.command_containers import recipes
from descent.deploy.pools.command_proxy import Proxy
from descent.deploy.pools.command_recipe import SIGNATURE_PATH
from descent.deploy.pools.probes import accepts
from descent.deploy.service.counting import ServiceCounts

__all__ = ["ReplicaRun"]

FIRST_WAIT_S = 0.02
MOST_WAIT_S = 0.5
MOST_DEATHS = 3  # of a container beside others, which may wait for them by dying
WARM_AGAIN_S = 5.0
STALLED_S = 15 * 60.0


class ReplicaRun:
    """A replica being kept. `ready` says whether requests may be sent to it."""

    def __init__(
        self, start: Start, name: str, address: tuple[str, int] | str, counts: ServiceCounts
    ) -> None:
        self.name = name
        self.address = address
        self.client = Client(address)
        self.in_flight = 0
        self.ready = False
        self.closing = False
        self.been_ready = False
        self._start = start
        self._reason = ""
        self._born = time.time()
        self._changed = asyncio.Event()
        self._cold = ""  # why its warm-up failed
        self.containers = [
            ContainerRun(recipe, self._log, self._note, Tally(counts))
            for recipe in recipes(start, name, address)
        ]
        self._task = asyncio.ensure_future(self._follow())

    async def wait_ready(self, limit_s: float) -> None:
        """Return when it is ready for the first time. Raises LoadError that quotes its output."""
        try:
            async with asyncio.timeout(limit_s):
                while not self.been_ready:
                    self._raise_if_hopeless()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise LoadError(f"not ready within {limit_s:g} s: {self._story()}") from None

    def retire(self) -> None:
        """Take no more requests, from now on."""
        self.closing, self.ready = True, False

    async def stop(self, grace_s: float) -> None:
        """Take no more requests, finish those there are, end."""
        self.retire()
        self._task.cancel()
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        while self.in_flight and loop.time() < until:
            await asyncio.sleep(0.02)
        left = max(0.0, until - loop.time())
        await asyncio.gather(*(container.stop(left) for container in self.containers))
        await asyncio.gather(self._task, return_exceptions=True)
        self.client.close()
        if isinstance(self.address, str) and os.path.exists(self.address):
            os.unlink(self.address)

    async def read_signature(self) -> dict[str, Any] | None:
        """What our own child says goes in and comes out."""
        connection = await self.client.connection()
        try:
            connection.begin(f"GET {SIGNATURE_PATH} HTTP/1.1\r\nhost: child\r\n\r\n".encode())
            await connection.head()
            parts = []
            while piece := await connection.piece():
                parts.append(piece)
            return json.loads(b"".join(parts))
        finally:
            self.client.give_back(connection)

    def back_in_s(self) -> float | None:
        """Seconds until its next start, where it has died; None where nobody knows."""
        waits = [one.back_at - time.monotonic() for one in self.containers if one.back_at]
        return max(0.1, max(waits)) if waits else None

    def look_again(self) -> None:
        """It is not ready until it is seen to listen."""
        self.ready = False
        self._changed.set()

    def coming(self, within_s: float) -> bool:
        """Whether it is starting, or about to within `within_s`: worth waiting for."""
        if self.closing or self._cold or any(one.lapsed for one in self.containers):
            return False
        return (self.back_in_s() or 0.0) < within_s

    @property
    def reason(self) -> str:
        """Why it isn't ready."""
        if self.ready:
            return ""
        said = [one.reason for one in self.containers if one.reason and not one.ready]
        return said[0] if said else self._reason

    def report(self) -> Replica:
        """Its state in Cortex' words."""
        sizes = [one.process.memory_bytes() for one in self.containers if one.process]
        return Replica(
            id=self.name,
            state=self._state(),
            reason=self.reason,
            started=self._born,
            restarts=sum(one.restarts for one in self.containers),
            in_flight=self.in_flight,
            memory_bytes=sum(size for size in sizes if size) or None,
        )

    def _state(self) -> str:
        if self.closing:
            return "Terminating"
        if self.ready:
            return "Ready"
        for container in self.containers:
            if container.state in ("Failed", "Killed", "KilledOOM", "ErrImagePull"):
                return container.state
        if self.been_ready:
            return "NotReady"
        return "Stalled" if time.time() - self._born > STALLED_S else "Creating"

    def _log(self, line: str, **fields: object) -> None:
        self._start.log(line, replica=self.name, **fields)

    def _note(self) -> None:
        """A container has changed."""
        if not all(one.ready for one in getattr(self, "containers", ())):
            self.ready = False
        self._changed.set()

    async def _follow(self) -> None:
        """Look whether it listens whenever its containers are ready; warm it; say it is ready."""
        wait = FIRST_WAIT_S
        while True:
            if self.ready or not all(one.ready for one in self.containers):
                self._changed.clear()
                wait = FIRST_WAIT_S
                await self._changed.wait()
                continue
            if not await accepts(self.address):
                self._reason = self._silent()
                await asyncio.sleep(wait)
                wait = min(2 * wait, MOST_WAIT_S)
                continue
            self._cold = self._reason = await self._warm_up()
            if self._cold:
                self._log(self._cold, level="error")
                self._changed.set()
                await asyncio.sleep(WARM_AGAIN_S)
            elif all(one.ready for one in self.containers) and not self.closing:
                for one in self.containers:
                    one.deaths = 0
                self.ready = self.been_ready = True
                self._changed.set()

    def _silent(self) -> str:
        if isinstance(self.address, str):
            return "loading"
        return (
            f"nothing listens on port {self.address[1]} ($CORTEX_PORT) yet; a command takes its "
            "port from $CORTEX_PORT, or as $(CORTEX_PORT) in command and args"
        )

    async def _warm_up(self) -> str:
        """Have the spec's examples answered; what went wrong. Our own child warms itself."""
        spec = self._start.spec
        if spec.service is not None:
            return ""
        only = Proxy(spec.name, [_Always(self)])  # type: ignore[list-item]
        for value in spec.warm_up:
            context = Context(f"warm-up-{self.name}", spec.name, self._start.version)
            headers = {"content-type": "application/json"}
            shown, body = json.dumps(value)[:100], json.dumps(value).encode()
            try:
                answer = await ask(only, "/", body, context=context, headers=headers)
            except UpstreamError as error:
                return f"warm-up with {shown}: {error}"
            if answer.status >= 400:
                said = answer.body[:200].decode("utf-8", "replace")
                return f"warm-up with {shown} answered {answer.status}: {said}"
        return ""

    def _raise_if_hopeless(self) -> None:
        if self._cold:
            raise LoadError(self._cold)
        most = 1 if len(self.containers) == 1 else MOST_DEATHS
        if any(one.deaths >= most and not one.ready for one in self.containers):
            raise LoadError(self._story())

    def _story(self) -> str:
        """What is wrong, and the last lines of whoever is to blame."""
        for one in self.containers:
            if not one.ready:
                lines = one.last_lines()
                said = f"container '{one.recipe.name}': {one.reason}"
                return f"{said}; its last lines:\n{lines}" if lines else f"{said}; it wrote nothing"
        return self.reason


class _Always:
    """The replica, for its own warm-up: requests may go to it before others' may."""

    ready = True
    reason = ""

    def __init__(self, replica: ReplicaRun) -> None:
        self.client = replica.client
        self.in_flight = 0

    def back_in_s(self) -> None:
        return None
