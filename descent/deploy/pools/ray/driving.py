"""The node's end of the driver: a process kept alive, orders to it, events from it.

When the driver ends (the cluster is gone), everyone who waits for a replica's events is told
`died`, and the next order starts another driver.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descent.deploy.pool import LoadError

log = logging.getLogger("descent.deploy.ray")

__all__ = ["Address", "Driving", "RayUnavailable"]

LISTENS_S, CONNECT_S, LOOK_S = 5.0, 60.0, 2.0
LINE_BYTES = 64 * 2**20

Hear = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Address:
    """A Ray cluster: its head ("127.0.0.1:26379"), the file with its token (None: Ray's own way of
    finding one), and the host on which replicas are reached ("": each machine's own)."""

    address: str
    token_file: Path | None = None
    host: str = ""


class RayUnavailable(LoadError):
    """There is no cluster, or it does not answer."""


class Driving:
    """Starts the driver when it is first needed, and again when it has ended.

    `find()` says where the cluster is; it raises `RayUnavailable` when there is none.
    """

    def __init__(self, find: Callable[[], Address]) -> None:
        self._find = find
        self._connecting = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._hearers: dict[str, Hear] = {}
        self._said: deque[str] = deque(maxlen=20)  # the driver's last lines
        self.address: Address | None = None
        self.machines: list[dict[str, float]] = []

    @property
    def fixed(self) -> bool:
        """Whether the cluster cannot grow: one that `descent cluster up` started."""
        return self.address is not None and bool(self.address.host)

    async def start(self, replica: str, hear: Hear, given: dict[str, Any], options: dict) -> None:
        """Have a replica started; `hear(event)` is told what becomes of it. Raises
        `RayUnavailable`."""
        await self.connect()
        self._hearers[replica] = hear
        self._order({"do": "start", "replica": replica, "given": given, "options": options})

    async def stop(self, replica: str, grace_s: float) -> None:
        """End a replica; returns when it has ended, or nobody can say."""
        hear = self._hearers.get(replica)
        if hear is None or self._writer is None:
            return
        stopped = asyncio.Event()

        def last(event: dict[str, Any]) -> None:
            hear(event)
            if event["event"] in ("stopped", "died"):
                stopped.set()

        self._hearers[replica] = last
        self._order({"do": "stop", "replica": replica, "grace_s": grace_s})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), grace_s + 5.0)
        self._hearers.pop(replica, None)

    def forget(self, replica: str) -> None:
        """Hear no more of a replica that has ended."""
        self._hearers.pop(replica, None)

    async def connect(self) -> None:
        """Be connected to the cluster. Raises `RayUnavailable`."""
        async with self._connecting:
            if self._writer is None:
                await self._connect()

    async def close(self) -> None:
        """End the driver and with it every replica it has started."""
        process = self._process
        if self._looking is not None:
            self._looking.cancel()
        if self._writer is not None:
            self._writer.close()
        if process is not None:
            try:
                await asyncio.wait_for(process.wait(), 5.0)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    def _order(self, order: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(order).encode() + b"\n")

    async def _connect(self) -> None:
        self.address = address = self._find()
        await _listens(address.address)
        ours, theirs = socket.socketpair()
        environment = dict(os.environ, RAY_ENABLE_UV_RUN_RUNTIME_ENV="0", PYTHONUNBUFFERED="1")
        if address.token_file is not None:
            token = str(address.token_file)
            environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token}
        with theirs:
            command = ["-m", "descent.deploy.pools.ray.driver", str(theirs.fileno())]
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *command, address.address, env=environment,
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
                start_new_session=True, limit=2**20,
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
        saying = asyncio.create_task(self._keep_lines(self._process))
        try:
            line = await asyncio.wait_for(reader.readline(), CONNECT_S)
            event: dict[str, Any] = {"event": "refused", "reason": ""}
            if line:
                event = json.loads(line)
            if event["event"] != "connected":
                if not event["reason"]:
                    await self._process.wait()
                    await saying
                raise RayUnavailable(self._refusal(event["reason"]))
        except BaseException as error:
            writer.close()
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            if isinstance(error, TimeoutError):
                raise RayUnavailable(self._refusal("no answer")) from error
            raise
        self.machines, self._writer = event["machines"], writer
        self._reading = asyncio.create_task(self._read(reader, writer, saying))
        if self.fixed:
            self._looking = asyncio.create_task(self._look(self._process))

    def _refusal(self, reason: str) -> str:
        assert self.address is not None
        said = reason or " ".join(list(self._said)[-3:])
        if "No module named 'ray'" in said:
            return "the ray backend needs Ray: pip install 'descent-ml[ray]'"
        return f"no Ray cluster answers at {self.address.address}: {said[-500:]}"

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, saying: asyncio.Task
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                event = json.loads(line)
                if (hear := self._hearers.get(event["replica"])) is not None:
                    self._tell(hear, event)
        self._writer = None
        writer.close()
        if self._process is not None:
            await self._process.wait()
        await saying
        gone = {"event": "died", "state": "Unknown", "reason": "the Ray cluster is gone"}
        for replica, hear in list(self._hearers.items()):
            self._tell(hear, {**gone, "replica": replica})
        self._hearers.clear()

    async def _look(self, process: asyncio.subprocess.Process) -> None:
        """End the driver once its head is gone, which Ray itself takes a minute to believe. Not for
        clusters elsewhere: their heads may come back and find their replicas."""
        missed = 0
        while process.returncode is None and missed < 2:
            await asyncio.sleep(LOOK_S)
            try:
                await _listens(self.address.address if self.address else "")
                missed = 0
            except RayUnavailable:
                missed += 1
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    @staticmethod
    def _tell(hear: Hear, event: dict[str, Any]) -> None:
        try:
            hear(event)
        except Exception:  # one version's log must not make the others deaf
            log.exception("what a replica told could not be taken: %s", event)

    async def _keep_lines(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # a line without end: nobody needs it
            async for line in process.stderr:
                self._said.append(line.decode("utf-8", "replace").strip()[:500])


async def _listens(address: str) -> None:
    """Raise `RayUnavailable` when nothing listens there, which Ray takes a minute to say."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(LISTENS_S):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
    except (OSError, ValueError) as error:
        said = f"no Ray cluster answers at {address}: {error or 'nobody listens'}"
        raise RayUnavailable(said) from error
