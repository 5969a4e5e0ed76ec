"""One request while it is being answered: what it asks, and the leash it runs on.

    deadline reached, client gone → the task is cancelled, `why` says which

Whether the client is still there is watched only once a request has taken `_WATCH_AFTER_S`: most
are answered sooner, and pay for one timer.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any

from starlette.types import Message, Receive, Scope

from descent.deploy import pool
from descent.deploy.errors import HttpError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["InFlight", "current", "current_context", "current_request"]

_WATCH_AFTER_S = 0.05

current: ContextVar[InFlight | None] = ContextVar("descent_request", default=None)


class InFlight:
    """`body` is set once read; `work` is what runs for it outside its own task (a thread's call, a
    batch), which may outlive an answer that came too late."""

    __slots__ = (
        "_alarm", "_cancelled_before", "_held", "_task", "_watcher", "_watching", "answering",
        "body", "context", "receive", "scope", "since", "why", "work",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, context: pool.Context) -> None:
        self.scope = scope
        self.context = context
        self.since = time.perf_counter()
        self.body = b""
        self.work: Any = None
        self.why: HttpError | None = None
        self.answering = False  # something has been sent already
        self.receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._held = False
        self._watcher: asyncio.Task[None] | None = None

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body, kept in `body`. Raises `HttpError` 413, 499."""
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self.body = message.get("body", b"")
        else:
            self.body = await self._rest(message, limit_bytes)
        if len(self.body) > limit_bytes:
            raise _too_large(limit_bytes)
        return self.body

    async def _rest(self, message: Message, limit_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise HttpError(499, "client_closed_request", "The client left while sending.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self.receive()

    def header(self, name: bytes) -> str:
        """A header by its lower-case name; "" where it was not sent."""
        for key, value in self.scope["headers"]:
            if key == name:
                return value.decode("latin-1")
        return ""

    def hold(self, *, watch: bool = True) -> None:
        """From here on `end` cancels the running task; with `watch`, so do the deadline and the
        client's going away."""
        loop = asyncio.get_running_loop()
        self._task, self._held = asyncio.current_task(loop), True
        self._cancelled_before = 0 if self._task is None else self._task.cancelling()
        self._watching = self._alarm = None
        if not watch:
            return
        # An empty context: a cancelled timer stays in the loop's heap for a while, and its context
        # would keep this request and its body.
        if "descent.connection" not in self.scope:  # else the gateway hears of the client's end
            empty = Context()
            self._watching = loop.call_later(_WATCH_AFTER_S, self._begin_watching, context=empty)
        if self.context.deadline is not None:
            self._alarm = loop.call_at(self.context.deadline, self._late, context=Context())

    def let_go(self) -> None:
        """No further cancelling; one that has been asked for is taken back."""
        if not self._held:
            return
        self._held = False
        if self._watching is not None:
            self._watching.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self.why is not None and self._task is not None:
            self._task.uncancel()

    def cancelled_by_others(self) -> bool:
        """Was the task cancelled from outside, and not (only) by this leash?"""
        if self._task is None:
            return False
        mine = self._held and self.why is not None
        return self._task.cancelling() > self._cancelled_before + mine

    def end(self, why: HttpError) -> None:
        """Cancel it; `why` is what its client is told."""
        if self.why is None and self._held and self._task is not None:
            self.why = why
            self._task.cancel()

    def _late(self) -> None:
        said = "The answer took longer than allowed; it was stopped."
        self.end(HttpError(504, "timed_out", said))

    def _begin_watching(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        try:
            while (await self.receive())["type"] != "http.disconnect":
                pass
        except Exception:  # a server that cannot say
            return
        self.end(HttpError(499, "client_closed_request", "The client went away."))


def _too_large(limit_bytes: int) -> HttpError:
    return HttpError(
        413, "body_too_large", f"The body is larger than {limit_bytes:,} bytes (max_body_bytes)."
    )


def current_context() -> pool.Context | None:
    """Inside a service: the request's id, deadline and job; None outside, and in a batch."""
    running = current.get()
    return None if running is None else running.context


def current_request() -> Request | None:
    """Inside a service: headers, path and query of the request (its body has been read)."""
    from starlette.requests import Request

    running = current.get()
    if running is None:
        return None
    request = Request(running.scope)
    request._body = running.body
    return request
