"""The process that speaks with Ray: `python -m descent.deploy.pools.ray.driver FD ADDRESS`.

    orders  {"do": "start", "replica", "given", "options"} · {"do": "stop", "replica", "grace_s"}
    events  connected · refused · placed · ready · failed · news · died · stopped

One JSON object a line over the socket FD. Its end says that the node is gone: this process ends,
and with it its Ray job and all actors of it. When the cluster goes, Ray aborts this process, which
is why it is not the node.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import socket
import sys
import zipfile
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError

from descent.deploy.pools.ray.replica import RayReplica

__all__ = ["Driver", "main"]

HEALTH_S = 60.0  # without any news a replica is stuck
ARCHIVE_BYTES = 64 * 2**20
LINE_BYTES = 64 * 2**20


class Driver:
    """Carries out orders; `tell` sends an event."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._actors: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._make = ray.remote(RayReplica)

    def tell(self, event: str, replica: str = "", **fields: Any) -> None:
        said = {"event": event, "replica": replica, **fields}
        self._writer.write(json.dumps(said, default=str).encode() + b"\n")

    async def follow(self, reader: asyncio.StreamReader) -> None:
        """Take orders until the node is gone."""
        while line := await reader.readline():
            order = json.loads(line)
            doing = self._start(order) if order["do"] == "start" else self._stop(order)
            task = asyncio.create_task(doing)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _start(self, order: dict[str, Any]) -> None:
        name, given = order["replica"], order["given"]
        try:
            actor = self._make.options(**order["options"]).remote()
            self._actors[name] = actor
            self.tell("placed", name, **await actor.where.remote())
            found = await actor.load.remote(given)
            if found.get("missing"):
                archive = await asyncio.to_thread(_archive, Path(given["folder"]), found["machine"])
                found = await actor.load.remote(given, archive)
            if "error" in found:
                self.tell("failed", name, reason=found["error"], lines=found["lines"])
                return self._forget(name)
            self.tell("ready", name, **found)
            while True:
                self.tell("news", name, **await asyncio.wait_for(actor.watch.remote(), HEALTH_S))
        except TimeoutError:
            self._died(name, "Stalled", f"no sign of life for {HEALTH_S:g} s")
        except RayError as error:
            self._died(name, *_cause(error))
        except (OSError, ValueError) as error:
            self.tell("failed", name, reason=str(error), lines=[])
            self._forget(name)

    def _died(self, name: str, state: str, reason: str) -> None:
        if name in self._actors:  # else it was told to end
            self.tell("died", name, state=state, reason=reason)
            self._forget(name)

    async def _stop(self, order: dict[str, Any]) -> None:
        name, grace_s = order["replica"], order["grace_s"]
        actor = self._actors.pop(name, None)
        lines: list[Any] = []
        if actor is not None:
            try:
                if grace_s > 0:
                    lines = await asyncio.wait_for(actor.end.remote(grace_s), grace_s + 1.0)
            except (RayError, TimeoutError):
                pass  # dead, or it will be in a moment
            ray.kill(actor)
        self.tell("stopped", name, lines=lines)

    def _forget(self, name: str) -> None:
        actor = self._actors.pop(name, None)
        if actor is not None:
            ray.kill(actor)


def _cause(error: RayError) -> tuple[str, str]:
    """State and reason of a dead actor, in a sentence instead of Ray's page."""
    said = str(error)
    if isinstance(error, OutOfMemoryError) or "running low on memory" in said:
        return "KilledOOM", "Ray ended it: its machine ran low on memory"
    if "node was terminated" in said or "node died" in said.lower():
        return "Killed", "its machine is gone"
    if "RayletNotFound" in said or "cannot be scheduled" in said:
        return "Pending", "no machine of the cluster has room for it"
    if isinstance(error, RayActorError):
        return "Killed", "its process ended unexpectedly (killed, or crashed)"
    return "Failed", said.strip().splitlines()[-1][:500]


def _archive(folder: Path, machine: str) -> bytes:
    """A version's folder as ZIP, links followed. Raises ValueError past `ARCHIVE_BYTES`."""
    packed, size = io.BytesIO(), 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for root, folders, names in os.walk(folder, followlinks=True):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for file in (Path(root, name) for name in names):
                size += file.stat().st_size
                if size > ARCHIVE_BYTES:
                    raise ValueError(
                        f"{folder} is not on {machine} and, above {ARCHIVE_BYTES >> 20} MiB, too "
                        "large to be sent: put DESCENT_HOME on a disk that all machines share"
                    )
                archive.write(file, file.relative_to(folder))
    return packed.getvalue()


async def _run(fd: int, address: str) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=fd), limit=LINE_BYTES)
    try:
        await asyncio.to_thread(
            ray.init, address, namespace="descent", log_to_driver=False, logging_level=logging.ERROR
        )
    except Exception as error:  # whatever Ray says: the node must know
        said = " ".join(str(error).split())
        writer.write(json.dumps({"event": "refused", "replica": "", "reason": said}).encode())
        return await writer.drain()
    driver = Driver(writer)
    driver.tell("connected", machines=[node["Resources"] for node in ray.nodes() if node["Alive"]])
    await driver.follow(reader)


def main() -> None:
    """Follow orders from the socket named on the command line."""
    asyncio.run(_run(int(sys.argv[1]), sys.argv[2]))
    os._exit(0)  # nothing is left to be said; Ray's own farewell can take seconds


if __name__ == "__main__":
    main()
