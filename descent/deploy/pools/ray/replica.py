"""The actor: one replica of a service, answering HTTP on a port of its machine.

Inside it is the "local" backend, so a service is loaded, warmed, watched and unloaded on Ray as it
is at home. Its port answers only requests that bring the pool's secret. Lines of its log wait for
`watch`, which the driver asks again and again; an actor that has died fails that call at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import tempfile
import zipfile
from collections import deque
from pathlib import Path
from typing import Any

import ray
from starlette.types import ASGIApp

from descent.deploy import tracing
from descent.deploy.pool import LoadError, Start
from descent.deploy.pools.child import STUCK, STUCK_S, ChildApp
from descent.deploy.pools.local import LocalBackend, LocalPool
from descent.deploy.pools.memory import resident_bytes
from descent.deploy.pools.ray.guarding import Guarded
from descent.deploy.spec import make_spec

__all__ = ["RayReplica"]

NEWS_S = 2.0  # how often a replica with nothing to tell says that it lives
KEPT_LINES = 10_000


class RayReplica:
    """Made into an actor by the driver; every method is called from there."""

    def __init__(self) -> None:
        self._backend = LocalBackend()
        self._pool: LocalPool | None = None
        self._server: Any = None
        self._serving: asyncio.Task[None] | None = None
        self._folder: tempfile.TemporaryDirectory | None = None
        self._lines: deque[dict[str, Any]] = deque(maxlen=KEPT_LINES)
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def where(self) -> dict[str, Any]:
        """The process and its machine; answers as soon as Ray has placed the actor."""
        return {"pid": os.getpid(), "machine": socket.gethostname()}

    async def load(self, given: dict[str, Any], archive: bytes | None = None) -> dict[str, Any]:
        """Load, warm and listen: {"host", "port", "signature"}; {"missing"} where the version's
        folder is not on this machine and no `archive` of it came along; or {"error"}."""
        self._loop = asyncio.get_running_loop()
        os.environ.update(given.get("traces") or {})  # Ray gives its processes none of the node's
        tracing.begin()
        spec, folder = make_spec(given["spec"]), Path(given["folder"])
        if archive is not None:
            folder = self._unpacked(archive)
        elif not folder.exists():
            return {"missing": True, "machine": socket.gethostname()}
        start = Start(spec, given["version"], folder, self._log, given["config"])
        try:
            self._pool = await self._backend.start(start)
        except LoadError as error:
            return {"error": str(error), "lines": self._taken_lines()}
        endpoint = spec.networking.endpoint or ""
        app = ChildApp(self._pool.app, self._pool.signature, endpoint, self._stuck)
        host = given["host"] or ray.util.get_node_ip_address()
        port = await self._listen(Guarded(app, given["secret"]), host)
        return {"host": host, "port": port, "signature": self._pool.signature}

    async def watch(self) -> dict[str, Any]:
        """What is new, as soon as there is anything, else after `NEWS_S`: lines of the log, the
        replica's state and memory."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), NEWS_S)
        self._news.clear()
        replica = self._pool.replicas()[0] if self._pool else None
        return {
            "lines": self._taken_lines(),
            "state": replica.state if replica else "Creating",
            "reason": replica.reason if replica else "",
            "memory": resident_bytes(),
        }

    async def end(self, grace_s: float) -> list[dict[str, Any]]:
        """Stop listening, finish what is under way, unload; the last lines of the log."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._serving), grace_s)
        if self._pool is not None:
            await self._pool.close(grace_s)
        if self._folder is not None:
            self._folder.cleanup()
        return self._taken_lines()

    async def _listen(self, app: ASGIApp, host: str) -> int:
        import uvicorn

        listening = socket.create_server((host, 0), backlog=1024)
        config = uvicorn.Config(
            app, lifespan="off", access_log=False, log_level="warning", log_config=None,
            server_header=False, date_header=False, timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started:
            await asyncio.sleep(0.002)
        return listening.getsockname()[1]

    def _unpacked(self, archive: bytes) -> Path:
        self._folder = tempfile.TemporaryDirectory(prefix="descent-")
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            packed.extractall(self._folder.name)  # names were checked by zipfile: none leaves it
        return Path(self._folder.name)

    def _log(self, line: str, **fields: Any) -> None:
        self._lines.append({"line": line, **fields})
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; so has this process
                self._loop.call_soon_threadsafe(self._news.set)

    def _taken_lines(self) -> list[dict[str, Any]]:
        taken = []
        while self._lines:
            taken.append(self._lines.popleft())
        return taken

    def _stuck(self) -> None:
        if self._pool is not None and not self._pool.stoppable:
            return
        self._log(f"work goes on {STUCK_S:g} s after its caller has gone: ended", level="error")
        os._exit(STUCK)
