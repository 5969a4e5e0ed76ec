"""Start and end an ASGI application that a service mounts, as a server would (lifespan protocol).

Reference: ASGI 3, lifespan. An application that does not know the protocol raises at once, which
is allowed and means: nothing to start.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

__all__ = ["Lifespan"]


class Lifespan:
    """`await start()`, then `await stop()`; both raise what the application says went wrong.
    `state` is what requests carry in `scope["state"]`."""

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._step("startup")

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            await self._step("shutdown")
            self._task.cancel()

    async def _step(self, phase: str) -> None:
        await self._to_app.put({"type": f"lifespan.{phase}"})
        message = await self._from_app.get()
        if message is not None and message["type"] == f"lifespan.{phase}.failed":
            raise RuntimeError(message.get("message") or f"the application's {phase} failed")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        try:
            await self._app(scope, self._to_app.get, self._from_app.put)
        except Exception:
            pass  # it does not speak the protocol (or has said what failed)
        finally:
            self._from_app.put_nowait(None)
