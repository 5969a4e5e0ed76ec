"""The ASGI application of a pool of processes: a request goes to the least loaded that is ready.

The API's endpoint is taken off the path (Cortex' sub-paths): /sorter/any?q is /any?q to the
process. Bodies stream both ways. Cancelled (the client has gone, the deadline is over): the
connection to the process is closed, which is how it learns. Not ready: 503 with Retry-After. It
died before it answered, or within a short answer: 502 with Retry-After, unless the request can be
sent again without harm; within a long one or a stream that is broken off, never ended as if it were
whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from starlette.types import Message, Receive, Scope, Send

from descent.deploy.errors import HttpError, send_error
from descent.deploy.pool import Context
from descent.deploy.pools.command_choice import Choice
from descent.deploy.pools.command_client import Connection, UpstreamError
from descent.deploy.pools.command_heads import HOP_BY_HOP, head_of
from descent.deploy.pools.wholeness import Whole

if TYPE_CHECKING:
    from descent.deploy.pools.command_replica import ReplicaRun

__all__ = ["Proxy"]

MOST_TRIES = 8
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
OURS_OUT = HOP_BY_HOP | {b"date", b"server"}  # the gateway's server writes its own


class _Gone(Exception):
    """The client has gone while it was sending."""


class Proxy:
    """`app(scope, receive, send)` over the replicas of a pool.

    `plain`: the processes are a user's own and see their own paths; else they are our child
    (child.py), which gets path and context as they are. `most`: requests a replica gets at once;
    further ones wait here, in order. `worth_waiting(replica)`, where given, is asked when none is
    ready (None) or one that was ready does not listen: it waits, and says whether to try again.
    """

    def __init__(
        self,
        name: str,
        replicas: Sequence[ReplicaRun],
        *,
        plain: bool = True,
        most: int | None = None,
        worth_waiting: Callable[[ReplicaRun | None], Awaitable[bool]] | None = None,
    ) -> None:
        self._name, self._replicas, self._plain = name, replicas, plain
        self._choice = Choice(replicas, most)
        self._worth_waiting = worth_waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1003})
            return
        first = await receive()
        if first["type"] == "http.disconnect":
            return
        error = await self._tried(first, scope, receive, send)
        if error is not None:
            context: Context | None = scope.get("descent")
            await send_error(send, error, context and context.request_id)

    async def _tried(
        self, first: Message, scope: Scope, receive: Receive, send: Send
    ) -> HttpError | None:
        """Have one replica after the other asked until one takes the request; what is to be
        answered instead."""
        tried: set[int] = set()
        for _ in range(MOST_TRIES):
            target = await self._choice.take(tried)
            if target is None:
                if self._worth_waiting is None or not await self._worth_waiting(None):
                    break
                tried.clear()
                continue
            tried.add(id(target))
            broken = False
            try:
                await self._forward(target, first, scope, receive, send)
                return None
            except ConnectionRefusedError:
                pass  # nothing was sent: another may have it
            except HttpError as error:
                broken = error.code == "upstream_failed"
                return error
            except UpstreamError:
                broken = True
                raise
            except _Gone:
                return None
            finally:
                self._choice.give_back(target, broken)
            if self._worth_waiting is not None and await self._worth_waiting(target):
                tried.clear()
        return self._not_ready()

    def _not_ready(self) -> HttpError:
        waits = [wait for one in self._replicas if (wait := one.back_in_s()) is not None]
        reasons = sorted({one.reason for one in self._replicas if one.reason})
        said = f"no replica of '{self._name}' is ready" + (f": {reasons[0]}" if reasons else "")
        return HttpError(503, "not_ready", said, retry_after_s=min(waits, default=1.0))

    async def _forward(
        self, target: ReplicaRun, first: Message, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Pass one request on. Raises HttpError for what is to be answered instead, and
        ConnectionRefusedError when the process does not listen."""
        body, more = first.get("body", b""), first.get("more_body", False)
        head = head_of(scope, len(body), more, plain=self._plain)
        fresh = False
        while True:
            try:
                connection = await target.client.connection(fresh=fresh)
            except OSError as error:
                raise ConnectionRefusedError(str(error)) from error
            kept, whole = connection.used > 0, Whole(send)
            try:
                await _exchange(connection, head, body, more, scope, receive, whole)
                return
            except UpstreamError as error:
                again = error.fresh and kept and not more and scope["method"] in REPEATABLE
                if again and not fresh:
                    fresh = True
                    continue
                if not whole.begun:
                    said = f"the process of '{self._name}' did not answer: {error}"
                    raise HttpError(502, "upstream_failed", said, retry_after_s=1.0) from error
                raise
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
