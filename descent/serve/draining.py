"""A uvicorn server that drains before it stops: refuse new work, finish what is running, then exit.

uvicorn alone closes the listening socket at once, so nobody can learn from /readyz that it is about
to go; and it re-raises the signal at the end, so the exit code would say "killed".
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from descent.serve.errors import ApiError
from descent.serve.service import Service

__all__ = ["DrainingServer"]


class DrainingServer(uvicorn.Server):
    """Serves one application; `drain()` (or a signal) begins the end."""

    def __init__(self, app: FastAPI, grace_s: float) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,  # the application that embeds this configures logging
            access_log=False,
            ws="none",
            lifespan="on",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self._service: Service = app.state.service
        self._grace_s = grace_s
        self._drain_until: float | None = None

    def run_until_stopped(self, sock: socket.socket, started: Callable[[], None]) -> None:
        """Blocks; `started` is called from the event loop when requests are answered."""
        self._started_callback = started
        # The configured loop (uvloop where installed) and signal handlers, as uvicorn.run does.
        self.run(sockets=[sock])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._started_callback()

    def drain(self) -> None:
        """Stop taking requests; exit when the running ones are answered. Safe from any thread."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + self._grace_s
            self._service.draining = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._drain_until is not None:
            self._drain_until = 0.0  # a second signal: no more patience
        self.drain()

    async def on_tick(self, counter: int) -> bool:
        if self._drain_until is not None and not self.should_exit:
            if self._service.load == 0:
                self.should_exit = True
            elif time.monotonic() > self._drain_until:
                self._service.abort(
                    ApiError(503, "The server was stopped.", code="draining", retry_after_s=5)
                )
                await asyncio.sleep(0)
                self.should_exit = True
        return await super().on_tick(counter)
