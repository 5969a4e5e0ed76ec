"""The ASGI application of a pool of processes: a request goes to the least loaded that is ready.

The API's endpoint is taken off the path (Cortex' sub-paths): /sorter/any?q is /any?q to the
process. Bodies stream both ways. Cancelled (the client has gone, the deadline is over): the
connection to the process is closed, which is how it learns. Not ready: 503 with Retry-After. It
died before it answered: 502 with Retry-After, unless the request can be sent again without harm; in
mid-answer the answer is broken off, never ended as if it were whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.pool import Context
from descent.deploy.pools.command_client import Connection, UpstreamError

if TYPE_CHECKING:
    from descent.deploy.pools.command_replica import ReplicaRun

__all__ = ["CONTEXT_HEADER", "Proxy"]

CONTEXT_HEADER = b"x-descent-context"
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection transfer-encoding te trailer upgrade expect".split()
)
OURS_IN = HOP_BY_HOP | {b"content-length", b"x-request-id", CONTEXT_HEADER}
OURS_OUT = HOP_BY_HOP | {b"date", b"server"}  # the gateway's server writes its own


class _Gone(Exception):
    """The client has gone while it was sending."""


class Proxy:
    """`app(scope, receive, send)` over the replicas of a pool.

    `plain`: the processes are a user's own and see their own paths; else they are our child
    (child.py), which gets path and context as they are.
    """

    def __init__(self, name: str, replicas: Iterable[ReplicaRun], *, plain: bool = True) -> None:
        self._name, self._replicas, self._plain = name, replicas, plain
        self._turn = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1003})
            return
        tried: set[int] = set()
        error = None
        while (target := self._least_loaded(tried)) is not None:
            tried.add(id(target))
            target.in_flight += 1
            try:
                await self.forward(target, scope, receive, send)
                return
            except ConnectionRefusedError:
                continue  # nothing was sent: another may have it
            except HttpError as refused:
                error = refused
                break
            finally:
                target.in_flight -= 1
        context: Context | None = scope.get("descent")
        await send_error(send, error or self._not_ready(), context and context.request_id)

    def _least_loaded(self, tried: set[int]) -> ReplicaRun | None:
        ready = [one for one in self._replicas if one.ready and id(one) not in tried]
        if not ready:
            return None
        self._turn += 1
        turn = self._turn % len(ready)
        return min(ready[turn:] + ready[:turn], key=lambda one: one.in_flight)

    def _not_ready(self) -> HttpError:
        waits = [wait for one in self._replicas if (wait := one.back_in_s()) is not None]
        reasons = sorted({one.reason for one in self._replicas if one.reason})
        said = f"no replica of '{self._name}' is ready" + (f": {reasons[0]}" if reasons else "")
        return HttpError(503, "not_ready", said, retry_after_s=min(waits, default=1.0))

    async def forward(self, target: ReplicaRun, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on. Raises HttpError for what is to be answered instead, and
        ConnectionRefusedError when the process does not listen."""
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        head = _head(scope, len(body), more, plain=self._plain)
        fresh = False
        while True:
            try:
                connection = await target.client.connection(fresh=fresh)
            except ConnectionRefusedError:
                raise
            except OSError as error:
                raise ConnectionRefusedError(str(error)) from error
            kept = connection.used > 0
            try:
                await _exchange(connection, head, body, more, scope, receive, send)
                return
            except UpstreamError as error:
                again = error.fresh and kept and not more and scope["method"] in REPEATABLE
                if again and not fresh:
                    fresh = True
                    continue
                if error.fresh:
                    said = f"the process of '{self._name}' did not answer: {error}"
                    raise HttpError(502, "upstream_failed", said, retry_after_s=1.0) from error
                raise
            except _Gone:
                return
            finally:
                target.client.give_back(connection)


async def _exchange(
    connection: Connection,
    head: bytes,
    body: bytes,
    more: bool,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    head_only = scope["method"] == "HEAD"
    if not more:
        connection.begin(head + body, head_only=head_only)
        await _answer(connection, send)
        return
    chunked = b"\r\ntransfer-encoding: chunked\r\n" in head
    connection.begin(head + _chunk(body, chunked), head_only=head_only)
    sending = asyncio.ensure_future(_send_body(connection, chunked, receive))
    try:
        await _answer(connection, send)
        if not sending.done():
            connection.abort()  # it has answered without reading everything
    except UpstreamError:
        if sending.done() and not sending.cancelled() and isinstance(sending.exception(), _Gone):
            raise _Gone from None
        raise
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send_body(connection: Connection, chunked: bool, receive: Receive) -> None:
    more = True
    while more:
        await connection.drained()
        message = await receive()
        if message["type"] == "http.disconnect":
            connection.abort()
            raise _Gone
        more = message.get("more_body", False)
        connection.write(_chunk(message.get("body", b""), chunked))
    if chunked:
        connection.write(b"0\r\n\r\n")


def _chunk(data: bytes, chunked: bool) -> bytes:
    if not chunked:
        return data
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


async def _answer(connection: Connection, send: Send) -> None:
    await connection.head()
    named = set()
    for name, value in connection.headers:
        if name == b"connection":
            named |= {one.strip().lower() for one in value.split(b",")}
    drop = OURS_OUT | named
    headers = [pair for pair in connection.headers if pair[0] not in drop]
    await send({"type": "http.response.start", "status": connection.status, "headers": headers})
    while True:
        piece = await connection.piece()
        over = connection.complete
        await send({"type": "http.response.body", "body": piece, "more_body": not over})
        if over:
            return


def _head(scope: Scope, length: int, more: bool, *, plain: bool) -> bytes:
    """The request's head as bytes, ready to be sent."""
    root = scope.get("root_path", "")
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    path = path.split(b"?", 1)[0]
    if plain and root and path.startswith(root.encode()):
        path = path[len(root.encode()) :]
    elif plain and root and scope["path"].startswith(root):  # letters of the endpoint as %41
        path = quote(scope["path"][len(root) :]).encode()
    path = path if path.startswith(b"/") else b"/" + path
    query = scope.get("query_string", b"")
    target = path + b"?" + query if query else path
    lines = [b"%b %b HTTP/1.1" % (scope["method"].encode(), target)]
    given, host = None, b"localhost"
    forwarded = b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            given = value
        elif name == b"host":
            host = value
        elif name == b"x-forwarded-for":
            forwarded = value + b", "
        elif name not in OURS_IN:
            lines.append(name + b": " + value)
    lines.insert(1, b"host: " + host)
    if not more:
        if length or given is not None or scope["method"] in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d" % length)
    elif given is not None:
        lines.append(b"content-length: " + given)
    else:
        lines.append(b"transfer-encoding: chunked")
    lines += _about(scope, forwarded, root, plain)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _about(scope: Scope, forwarded: bytes, root: str, plain: bool) -> list[bytes]:
    """Headers that say where a request came from, and what travels with it."""
    client = scope.get("client")
    lines = [b"x-forwarded-proto: " + scope.get("scheme", "http").encode()]
    if client:
        lines.append(b"x-forwarded-for: " + forwarded + str(client[0]).encode())
    if root:
        lines.append(b"x-forwarded-prefix: " + root.encode())
    context: Context | None = scope.get("descent")
    if context is None:
        return lines
    for name, value in ((b"x-request-id", context.request_id), (b"traceparent", context.trace)):
        if value and value.isascii() and value.isprintable():
            lines.append(name + b": " + value.encode())
    if not plain:
        left = None
        if context.deadline is not None:
            left = context.deadline - asyncio.get_running_loop().time()
        said = [context.request_id, context.api, context.version, left]
        said += [context.key, context.job, context.trace]
        lines.append(CONTEXT_HEADER + b": " + json.dumps(said).encode())
    return lines
