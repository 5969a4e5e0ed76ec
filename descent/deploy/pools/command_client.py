"""A lean HTTP/1.1 client for one upstream: kept connections, both ways streamed, bounded buffers.

What reads a response stops the socket when 256 KiB wait unread, what writes waits for the socket;
memory stays flat whatever the sizes. httptools parses (the parser uvicorn uses). Left out: HTTP/2,
redirects, compression, cookies: a proxy passes those on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import cast

try:
    import httptools
except ImportError as error:
    raise ImportError(
        "running services as commands needs httptools: pip install 'descent-ml[serve]'"
    ) from error

__all__ = ["Client", "Connection", "UpstreamError"]

WAITING_BYTES = 256 * 1024
HEAD_BYTES = 64 * 1024
IDLE_S = 1.0  # well below any server's own keep-alive: it must not close what we are about to use
MOST_IDLE = 256


class UpstreamError(Exception):
    """The upstream did not answer properly. `fresh`: nothing of an answer had come."""

    def __init__(self, message: str, *, fresh: bool):
        super().__init__(message)
        self.fresh = fresh


class Connection(asyncio.Protocol):
    """One connection, used by one exchange at a time."""

    def __init__(self) -> None:
        self.used = 0
        self.idle_since = 0.0
        self.lost = self._aborted = False
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reset(False)

    def _reset(self, head_only: bool) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = self.complete = False
        self.error: str | None = None
        self._head_only = head_only
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._paused = False
        self._bounded = self._keep = False
        self._parser = httptools.HttpResponseParser(self)

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if self.complete:  # bytes nobody asked for
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"it is not HTTP: {error}")
        except httptools.HttpParserUpgrade:
            self._fail("it changed the protocol unasked")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._writable.set()
        whole = exc is None and not self._aborted and not self._bounded
        if self.has_head and not self.complete and whole:
            self.complete = True  # an answer without a length ends with its connection
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > HEAD_BYTES:
            self._fail(f"its head is over {HEAD_BYTES} bytes")
            return
        name = name.lower()
        if not self.has_head:
            self.headers.append((name, value))
            self._bounded |= name in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue, 103 Early Hints: the answer is still to come
            self.headers = []
            return
        self.status, self.has_head = status, True
        if self._head_only or status in (204, 304):
            self.complete = self._bounded = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self._head_only:
            return
        self._pieces.append(body)
        self._waiting += len(body)
        if self._waiting > WAITING_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self.has_head:
            self.complete = True
            self._keep = self._parser.should_keep_alive()  # it forgets the message hereafter
            self._wake()

    # what an exchange calls

    def begin(self, head: bytes, *, head_only: bool = False) -> None:
        """Send a request's head (and what of its body is there)."""
        self._reset(head_only)
        self.used += 1
        self.write(head)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the socket takes more."""
        if not self._writable.is_set():
            await self._writable.wait()

    async def head(self) -> None:
        """Wait for status and headers. Raises UpstreamError."""
        while not self.has_head:
            await self._more()

    async def piece(self) -> bytes:
        """What has come of the body, a byte at least; b"" at its end. Raises UpstreamError."""
        while not self._pieces and not self.complete:
            await self._more()
        return self.taken()

    def taken(self) -> bytes:
        """What has come of the body until now."""
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        if self._paused and self._transport is not None and not self.lost:
            self._paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def reusable(self) -> bool:
        """Whether another request may go over it. After a HEAD the parser waits for a body."""
        sound = not self.lost and self.error is None
        return sound and self._keep and self._bounded and not self._head_only

    def abort(self) -> None:
        """Close at once: the upstream sees that whoever asked has gone."""
        self.lost = self._aborted = True
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, message: str) -> None:
        self.error = message
        self.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        if self.error is not None:
            raise UpstreamError(self.error, fresh=not self.has_head)
        if self.lost:
            said = "it closed the connection"
            said += " in mid-answer" if self.has_head else ""
            raise UpstreamError(said, fresh=not self.has_head)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Client:
    """Connections to one address, kept for a moment between exchanges."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        self._address = address
        self._idle: deque[Connection] = deque()

    async def connection(self, *, fresh: bool = False) -> Connection:
        """A connection, kept or new. Raises OSError when nothing listens."""
        loop = asyncio.get_running_loop()
        while self._idle:
            kept = self._idle.pop()
            if not kept.lost and not fresh and loop.time() - kept.idle_since < IDLE_S:
                return kept
            kept.abort()
        if isinstance(self._address, str):
            _, made = await loop.create_unix_connection(Connection, self._address)
        else:
            _, made = await loop.create_connection(Connection, *self._address)
        return made

    def give_back(self, connection: Connection) -> None:
        """After an exchange: keep it, or close it."""
        if connection.reusable and len(self._idle) < MOST_IDLE:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            with contextlib.suppress(RuntimeError):  # the loop may be over
                self._idle.pop().abort()
