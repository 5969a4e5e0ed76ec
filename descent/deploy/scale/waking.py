"""Scale to zero: requests wait in the gateway's queue while their API has no replica.

    hold → unload      a request waits → wake 0→1 → ready: let in, x-cortex-origin: activator

The queue is the API's own: past `max_queue_length` it is 503 as always. Who has waited
`MOST_WAIT_S` for a replica that does not become ready is answered 503 with the reason.
Reference: Cortex' activator (one breaker, 20 min, the header).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error

__all__ = ["Place", "Waking"]

MOST_WAIT_S = 20 * 60.0
ORIGIN = (b"x-cortex-origin", b"activator")


class Place(Protocol):
    """What is needed of the gateway's `Served`."""

    app: ASGIApp
    in_flight: int
    on_wait: Callable[[], None] | None

    @property
    def queued(self) -> int: ...
    def hold(self) -> None: ...
    def release(self) -> None: ...


class Waking:
    """Holds and lets go the requests of one `Served`; `wake()` is called when one waits."""

    def __init__(self, served: Place, wake: Callable[[], None]) -> None:
        self._served, self._wake = served, wake
        self._app = served.app
        self._marked = 0  # so many of those who enter next were held
        self.held = False
        served.app = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._marked:
            return await self._app(scope, receive, send)
        self._marked -= 1

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), ORIGIN]}
            await send(message)

        await self._app(scope, receive, marked)

    async def hold(self, patience_s: float) -> bool:
        """Let nobody in any more and wait until nobody is inside; False, and everyone is let in
        again, if that takes longer or somebody comes meanwhile."""
        self._served.hold()
        self._served.on_wait = self._note
        self.held = True
        for _ in range(max(1, int(patience_s / 0.02))):
            if not self._served.in_flight or self._served.queued:
                break
            await asyncio.sleep(0.02)
        if self._served.in_flight or self._served.queued:
            self.let_in(marked=False)
            return False
        return True

    def let_in(self, *, marked: bool = True) -> None:
        """A replica answers: those who wait enter, and so does who comes now."""
        self._marked = self._served.queued if marked else 0
        self.held = False
        self._served.on_wait = None
        self._served.release()

    async def turn_away(self, reason: str) -> None:
        """It cannot be woken: everyone who waits is told so; who comes next is held again."""

        async def refused(scope: Scope, receive: Receive, send: Send) -> None:
            context = scope.get("descent")
            error = HttpError(503, "not_ready", reason, retry_after_s=5)
            await send_error(send, error, context and context.request_id)

        served, self._served.app = self._served, refused
        self._served.release()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                while served.queued or served.in_flight:
                    await asyncio.sleep(0.01)
        served.app = self
        served.hold()

    def end(self) -> None:
        """Nothing is held or marked from now on (the version is replaced)."""
        self._served.app = self._app
        if self.held:
            self.let_in(marked=False)

    def _note(self) -> None:
        self._wake()
