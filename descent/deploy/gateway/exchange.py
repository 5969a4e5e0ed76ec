"""One request and its answer: what has been sent, and why it may have to end early.

Two things end a request from outside: its deadline (504) and its client going away (499). Both
cancel the application's task; whether and when the application heeds that is its own affair, and
until it has ended it stays counted. Reference: ASGI 3, HTTP connection scope.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.gateway.metrics import ApiMetrics
from descent.deploy.pool import Context

__all__ = ["Body", "Exchange", "too_large"]

SAID_BYTES = 2048  # kept of an error's answer, and of a request's body where that is allowed
LAST_WORDS_S = 1.0  # a stream past its deadline may send its own last event


class Exchange:
    """`status` is 0 until an answer has begun; `ended` is set with its last byte. `outcome` says
    who ended it from outside: "late", "gone", "large" or None."""

    __slots__ = (
        "_answering", "_send", "also", "body", "context", "ended", "outcome", "said", "silent",
        "size", "status", "task",
    )  # fmt: skip

    def __init__(self, context: Context, send: Send, task: asyncio.Task[Any] | None) -> None:
        self.context = context
        self.task = task  # that is cancelled to end it
        self.body: Body | None = None
        self.also: ApiMetrics | None = None  # behind a splitter: the API's own counters
        self.status = 0
        self.size = 0
        self.ended = False
        self.outcome: str | None = None
        self.said = b""
        self.silent = False  # the application's words are dropped: another answer was given
        self._send = send
        self._answering: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        """ASGI's `send` as the application sees it. Raises ConnectionError when nobody listens any
        more, so that a stream that does not heed its cancelling ends, too."""
        if self.silent:
            if self.outcome == "large":
                return  # what it makes of a body that was cut short
            raise ConnectionError("this request has been ended")
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._with_id(message.get("headers", ()))
            try:
                await self._send(message)
            except RuntimeError:  # headers that cannot be sent
                self.status = 0
                raise
            return
        body = message.get("body", b"")
        self.size += len(body)
        if self.status >= 400 and len(self.said) < SAID_BYTES:
            self.said += bytes(body[:SAID_BYTES])
        if not message.get("more_body"):
            self.ended = True
        await self._send(message)

    def _with_id(self, headers: Any) -> list[tuple[bytes, bytes]]:
        found = list(headers)
        for name, _ in found:
            if name == b"x-request-id":
                return found
        found.append((b"x-request-id", self.context.request_id.encode()))
        return found

    async def fail(self, error: HttpError) -> None:
        """Answer with `error` if nothing has been sent; else the connection ends unfinished."""
        if self.status or self.outcome == "gone":
            return
        self.silent = False
        await send_error(self.send, error, self.context.request_id)

    def gone(self) -> None:
        """The client has gone away."""
        if not self.ended and self.outcome is None:
            self.outcome = "gone"
            self.silent = True
            self._cancel()

    def check_deadline(self, now: float) -> None:
        """End it if its time is over."""
        deadline = self.context.deadline
        if deadline is None or self.outcome is not None or self.ended:
            return
        if now < deadline + (LAST_WORDS_S if self.status else 0.0):
            return
        self.outcome = "late"
        if not self.status:
            self._answering = asyncio.create_task(self._answer_late())
        else:
            self.silent = True
        self._cancel()

    async def _answer_late(self) -> None:
        error = HttpError(504, "timed_out", f"'{self.context.api}' did not answer in time")
        with suppress(ConnectionError):
            await self.fail(error)
        self.silent = True

    def final_status(self) -> int:
        """What is counted: 499 for a client that went away before the end, 500 for an answer that
        the application left unfinished, whatever it began with."""
        if self.outcome == "late":
            return 504
        if self.ended:
            return self.status
        return {None: 500, "large": 413}.get(self.outcome, 499)

    async def finish(self) -> None:
        """Wait for an answer that was given beside the application; take its cancelling back."""
        if self._answering is not None:
            await self._answering
        if self.outcome == "large" and self.body is not None:
            await self.fail(too_large(self.body.limit_bytes))
        if self.outcome in ("late", "gone") and self.task is not None:
            self.task.uncancel()

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel(self.outcome)


class Body:
    """ASGI's `receive` where it must be looked at: bodies of unknown length, kept ones, and servers
    that do not tell of clients that went away."""

    def __init__(
        self,
        receive: Receive,
        exchange: Exchange,
        limit_bytes: int,
        *,
        keep_bytes: int = 0,
        whole: Callable[[bytes], None] | None = None,
    ) -> None:
        self.kept = b""  # the beginning
        self.finished = False
        self._receive = receive
        self._exchange = exchange
        self.limit_bytes = limit_bytes
        self._keep = limit_bytes if whole is not None else keep_bytes
        self._whole = whole
        self._seen = 0
        self._ahead: asyncio.Task[Message] | None = None

    async def __call__(self) -> Message:
        if self._ahead is not None:
            return await asyncio.shield(self._ahead)
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        part = message.get("body", b"")
        self._seen += len(part)
        if self._seen > self.limit_bytes:
            self._exchange.outcome = "large"
            self._exchange.silent = True
            raise too_large(self.limit_bytes)
        if len(self.kept) < self._keep:
            self.kept += part[: self._keep - len(self.kept)]
        if not message.get("more_body"):
            self.finished = True
            if self._whole is not None:
                self._whole(self.kept)
        return message

    def listen(self) -> None:
        """Once the body is whole: hear of the client going away."""
        if self.finished and self._ahead is None:
            self._ahead = asyncio.create_task(self._receive())  # type: ignore[arg-type]
            self._ahead.add_done_callback(self._heard)

    def close(self) -> None:
        """Stop listening."""
        if self._ahead is not None:
            self._ahead.cancel()

    def _heard(self, ahead: asyncio.Task[Message]) -> None:
        if not ahead.cancelled() and ahead.exception() is None:
            if ahead.result()["type"] == "http.disconnect":
                self._exchange.gone()


def too_large(limit: int) -> HttpError:
    """Status 413."""
    message = f"the body is larger than {limit:,} bytes"
    return HttpError(413, "body_too_large", message, headers=((b"connection", b"close"),))
