"""HTTP/1.1 on the socket: httptools' parser in front of an ASGI application, for uvicorn's server.

    uvicorn.Config(app, http=Protocol)

What it does otherwise than uvicorn's own protocol: an answer whose length is known leaves in one
write; keep-alive costs one timer a connection, not one a request; the application hears at once of
a client that went away (`scope["descent.connection"].on_gone`); heads are bounded (431). Reference:
RFC 9112; ASGI 3. Left out: HTTP/2, WebSockets (the request is passed on as a plain one), trailers
(read over: what comes after the body must not become a header that was looked at before).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Any, ClassVar
from urllib.parse import unquote

import httptools
from starlette.types import Scope
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from descent.deploy.gateway.turn import Turn

__all__ = ["Protocol"]

MAX_HEAD_BYTES = 64 * 2**10
HEAD_S = 30.0  # a head must be whole within
PIPELINED = 16  # requests read ahead on one connection

log = logging.getLogger("descent.deploy.gateway")


class Protocol(asyncio.Protocol):
    """One connection. Requests of one connection are answered one after the other."""

    __slots__ = (
        "_app_state",
        "_fed",
        "_idle_since",
        "_parser",
        "_reading",
        "_reads",
        "_timer",
        "_url",
        "_waiting",
        "app",
        "client",
        "default_headers",
        "drained",
        "encoded_defaults",
        "headers",
        "keep_alive_s",
        "loop",
        "paused",
        "scheme",
        "server",
        "state",
        "transport",
        "turn",
    )  # fmt: skip

    ending: ClassVar[bool] = False  # the process is about to end: answers close their connections

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.app = config.loaded_app
        self.keep_alive_s = config.timeout_keep_alive
        self.loop = _loop or asyncio.get_event_loop()
        self.state = server_state
        self.transport: Any = None
        self.turn: Turn | None = None  # the request that is being answered
        self.paused = False  # the client reads more slowly than we write
        self.drained: list[asyncio.Future[None]] = []  # those who wait for it to catch up
        self.headers: list[tuple[bytes, bytes]] = []
        self.default_headers: Any = None
        self.encoded_defaults = b""
        self._app_state = app_state
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Turn, Scope]] = deque()
        self._reading: Turn | None = None  # whose body is still coming
        self._reads = True
        self._url = b""
        self._fed = 0  # bytes since the last whole head or part of a body
        self._idle_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # -- the transport's side ----------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self.state.connections.add(self)
        self.transport = transport
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self._idle_since = time.monotonic()
        self._timer = self.loop.call_later(min(self.keep_alive_s, HEAD_S), self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self.state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        for turn in (self.turn, self._reading):
            if turn is not None:
                turn.lost()
        self._waiting.clear()
        self._parser = None

    def data_received(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr]
        except httptools.HttpParserUpgrade:
            pass  # answered as the plain request it also is; nothing after it is read
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request", b"not a valid HTTP request")
        if self._fed > MAX_HEAD_BYTES:  # of a head, of trailers or of what is said of a chunk
            self._refuse(b"431 Request Header Fields Too Large", b"the head is too large")

    def eof_received(self) -> None:
        """The client has sent its last; the transport closes, and with it what it waits for."""

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        for future in self.drained:
            if not future.done():
                future.set_result(None)
        self.drained.clear()

    def shutdown(self) -> None:
        """The server ends: finish what is being answered, then close."""
        if self.turn is None:
            self.transport.close()
        else:
            self.turn.keep_alive = False

    # -- the parser's side -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self.headers = []
        self._fed = self._fed or 1  # of a read that also ended another message
        self._idle_since = time.monotonic()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is None:  # else a trailer
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._fed = 0
        parser, url = self._parser, self._url
        if not url.startswith(b"/"):  # "http://host/path", "*"
            parsed = httptools.parse_url(url)
            url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        raw_path, _, query = url.partition(b"?")
        path = raw_path.decode("ascii")
        version = parser.get_http_version()  # type: ignore[union-attr]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": version,
            "method": parser.get_method().decode("ascii"),  # type: ignore[union-attr]
            "scheme": self.scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "state": self._app_state.copy(),
        }
        keep = parser.should_keep_alive() and not self.ending  # type: ignore[union-attr]
        turn = self._reading = Turn(self, scope, keep)
        scope["descent.connection"] = turn
        if self.turn is None:
            self._begin(turn, scope)
        else:
            self._waiting.append((turn, scope))
            if len(self._waiting) >= PIPELINED:
                self.read_no_more()

    def on_body(self, body: bytes) -> None:
        self._fed = 0
        if self._reading is not None:
            self._reading.feed(body)

    def on_message_complete(self) -> None:
        self._fed = 0
        turn, self._reading = self._reading, None
        if turn is not None:
            turn.whole()

    # -- turns -------------------------------------------------------------------------------------

    def _begin(self, turn: Turn, scope: Scope) -> None:
        self.turn = turn
        turn.task = task = self.loop.create_task(turn.run(self.app, scope))
        self.state.tasks.add(task)

    def finished(self, turn: Turn) -> None:
        """`turn`'s answer is complete: the next of this connection."""
        self.state.total_requests += 1
        self.turn = None
        if self.transport.is_closing():
            return
        if not turn.keep_alive:
            self.transport.close()
        elif self._waiting:
            self._begin(*self._waiting.popleft())
        else:
            self._idle_since = time.monotonic()
        self.read_on()

    def read_no_more(self) -> None:
        """Let the client wait: enough is buffered."""
        if self._reads:
            self._reads = False
            self.transport.pause_reading()

    def read_on(self) -> None:
        """There is room again."""
        if not self._reads and not self.transport.is_closing():
            self._reads = True
            self.transport.resume_reading()

    def defaults(self) -> bytes:
        """The server's own headers (date), encoded once a second."""
        if self.state.default_headers is not self.default_headers:
            self.default_headers = self.state.default_headers
            self.encoded_defaults = b"".join(
                b"%b: %b\r\n" % header for header in self.default_headers
            )
        return self.encoded_defaults

    def _check_idle(self) -> None:
        """Close what has been idle for too long; one timer for all requests of a connection."""
        limit = HEAD_S if self._fed else self.keep_alive_s
        left = limit if self.turn is not None else self._idle_since + limit - time.monotonic()
        if left <= 0:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(max(min(left, HEAD_S), 0.01), self._check_idle)

    def _refuse(self, status: bytes, message: bytes) -> None:
        """What is no request cannot be routed; the connection ends."""
        turn = self.turn
        unanswered = turn is None or (turn is self._reading and not turn.started)
        if unanswered and not self.transport.is_closing():
            body = b'{"error": {"code": "bad_request", "message": "%b"}}' % message
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, len(body), body)
            )
            if turn is not None:
                turn.lost()  # its body will never be whole
        self.transport.close()
