"""One request on a connection and the answer to it: ASGI's `receive` and `send`."""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Scope

if TYPE_CHECKING:
    from descent.deploy.gateway.protocol import Protocol

__all__ = ["Turn"]

BUFFERED_BYTES = 64 * 2**10  # of a body, before the client has to wait
JOINED_BYTES = 64 * 2**10  # a body up to this leaves in one write with its head
_BODILESS = (204, 304)

log = logging.getLogger("descent.deploy.gateway")


def _status_lines() -> dict[int, bytes]:
    phrases = {status.value: status.phrase for status in http.HTTPStatus}
    return {n: f"HTTP/1.1 {n} {phrases.get(n, '')}\r\n".encode() for n in range(100, 600)}


_STATUS = _status_lines()


class Turn:
    """`on_gone` is called when the client goes away before its answer is complete."""

    __slots__ = (
        "_body",
        "_buffered",
        "_chunked",
        "_complete",
        "_connection",
        "_expects",
        "_given",
        "_gone",
        "_head",
        "_head_only",
        "_left",
        "_more",
        "_started",
        "_version",
        "_waiters",
        "keep_alive",
        "on_gone",
        "task",
    )  # fmt: skip

    def __init__(self, connection: Protocol, scope: Scope, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.on_gone: Callable[[], None] | None = None
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._body: list[bytes] = []
        self._buffered = 0  # bytes in it: to add them up at each of many small parts takes long
        self._more = True  # the body is not whole yet
        self._given = False  # the application has all of it
        self._waiters: list[asyncio.Future[None]] = []
        self._gone = False
        # The scope names this turn; to keep the scope here would make a cycle of every request.
        self._expects = (b"expect", b"100-continue") in scope["headers"]
        self._version = scope["http_version"]
        self._started = self._complete = False
        self._head = b""  # kept until the body that belongs to it
        self._chunked = False
        self._head_only = scope["method"] == "HEAD"
        self._left: int | None = None  # bytes of the body still to be sent, where that is known

    # -- what the connection tells -----------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether something of the answer has been sent."""
        return self._started

    def feed(self, body: bytes) -> None:
        """A part of the body."""
        if self._complete:
            return
        self._body.append(body)
        self._buffered += len(body)
        if self._buffered > BUFFERED_BYTES:
            self._connection.read_no_more()
        self._wake()

    def whole(self) -> None:
        """The body is complete."""
        self._more = False
        self._wake()

    def lost(self) -> None:
        """The connection is gone."""
        self._gone = True
        self._wake()
        if self.on_gone is not None and not self._complete:
            self.on_gone()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    # -- what the application uses -----------------------------------------------------------------

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let the application answer, and see to it that there is an answer."""
        connection = self._connection
        try:
            await app(scope, self.receive, self.send)
            if not self._complete and not self._gone:
                if self._started:
                    connection.transport.close()  # a cut answer must not look like a whole one
                else:
                    await self._mistake()
        except asyncio.CancelledError:
            connection.transport.close()
            raise
        except Exception as error:
            if self._gone and isinstance(error, OSError):
                return
            log.exception("%s failed", scope["path"])
            if self._started:
                connection.transport.close()
            elif not self._gone:
                await self._mistake()
        finally:
            connection.state.tasks.discard(self.task)

    async def receive(self) -> Message:
        """The next part of the body; once that is whole, the client's going away."""
        if self._expects:
            self._expects = False
            if not self._started:
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._gone or self._complete):
            if self._body or not (self._more or self._given):
                return self._taken()
            waiter = self._connection.loop.create_future()
            self._waiters.append(waiter)
            await waiter
        return {"type": "http.disconnect"}

    def _taken(self) -> Message:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._buffered = 0
        self._given = not self._more
        self._connection.read_on()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """Start, then the parts of the body. Raises ConnectionError once the client is gone."""
        connection = self._connection
        if connection.paused:
            waiter = connection.loop.create_future()
            connection.drained.append(waiter)
            await waiter
        if self._gone:
            raise ConnectionError("the client went away")
        if self._complete:
            raise RuntimeError("the answer is complete already")
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._part(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} is no part of an HTTP answer")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self._started:
            raise RuntimeError("the answer has begun already")
        lines = []
        close = self._expects  # its body is not wanted, and may come or not
        chunked = False
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
            name = name.lower()
            if name == b"content-length":
                self._left = int(value)
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"connection":
                close = close or b"close" in value.lower()
                del lines[-4:]
        said = b"".join(lines)
        count = len(lines) // 4
        if said.count(b"\n") != count or said.count(b"\r") != count or b"\0" in said:
            raise RuntimeError("a header must not hold line ends")
        self._started = True
        if self._head_only or status in _BODILESS:
            self._head_only = True
        elif self._left is None:
            self._chunked = self._version == "1.1"
            close = close or not self._chunked
            if self._chunked and not chunked:
                said += b"transfer-encoding: chunked\r\n"
        self.keep_alive = self.keep_alive and not close
        if not self.keep_alive:
            said += b"connection: close\r\n"
        elif self._version == "1.0":
            said += b"connection: keep-alive\r\n"
        self._head = _STATUS[status] + self._connection.defaults() + said + b"\r\n"
        if self._chunked:  # a stream: its first part may be long in coming
            self._connection.transport.write(self._head)
            self._head = b""

    def _part(self, body: bytes, more: bool) -> None:
        if not self._started:
            raise RuntimeError("the answer has not begun")
        write = self._connection.transport.write
        if self._head_only:
            body = b""
        elif self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0:
                raise RuntimeError("the body is longer than its content-length")
        if self._head and len(body) < JOINED_BYTES:
            body, self._head = self._head + body, b""
        elif self._head:
            write(self._head)
            self._head = b""
        if body:
            write(body)
        if not more:
            self._end()

    def _end(self) -> None:
        if self._left and not self._head_only:
            raise RuntimeError(f"the body is {self._left} bytes shorter than its content-length")
        self._complete = True
        if self._waiters:
            self._wake()
        self._connection.finished(self)

    async def _mistake(self) -> None:
        body = b'{"error": {"code": "internal_error", "message": "the server made a mistake"}}'
        length = str(len(body)).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", length)]
        await self.send({"type": "http.response.start", "status": 500, "headers": head})
        await self.send({"type": "http.response.body", "body": body})
