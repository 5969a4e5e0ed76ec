"""A service in a process of its own: `python -m descent.deploy.pools.child`, started by "command".

Its standard input says what to serve, as one line of JSON, and its end says that the node is gone:
then the child ends too. It answers on a Unix socket in a folder only its user may enter, once it is
loaded and warm. Its output is lines of the version's log; those that begin with RECORD are JSON.
Work that goes on 10 s after its deadline, or after its caller has gone (code that nothing can
interrupt), ends the child, unless the service says `stoppable = False`: the node starts it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from descent.deploy import tracing
from descent.deploy.pool import Context, LoadError, Start
from descent.deploy.pools.child_counts import snapshot
from descent.deploy.pools.command_heads import CONTEXT_HEADER
from descent.deploy.pools.command_recipe import RECORD, SIGNATURE_PATH

if TYPE_CHECKING:
    from descent.deploy.pools.local import LocalPool

__all__ = ["ChildApp", "main"]

STUCK_S = 10.0
COUNTS_S = 1.0
WATCH_AFTER_S = 0.05
NOT_LOADED, STUCK = 3, 70  # exit codes


class ChildApp:
    """The pool's application, as the node would call it: with its context, cancelled when nobody
    waits for the answer any more. `stuck()` is called where it does not heed that."""

    def __init__(self, app: ASGIApp, signature: Any, root_path: str, stuck: Callable[[], None]):
        self._app, self._signature, self._root_path, self._stuck = app, signature, root_path, stuck

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == SIGNATURE_PATH:
            await _send_json(send, self._signature)
            return
        headers = [pair for pair in scope["headers"] if pair[0] != CONTEXT_HEADER]
        context = _context(dict(scope["headers"]).get(CONTEXT_HEADER))
        state = {"request_id": context.request_id}
        scope = {**scope, "headers": headers, "root_path": self._root_path}
        mounted = "paths" in (self._signature or {})  # its background work may last
        leash = _Leash(receive, send, headers, self._stuck, None if mounted else context.deadline)
        try:
            await self._app(
                {**scope, "descent": context, "state": state}, leash.receive, leash.send
            )
        except asyncio.CancelledError:
            if not leash.gone.is_set():
                raise
        finally:
            leash.end()


class _Leash:
    """Watches whether the client is there; begun only after `WATCH_AFTER_S`: most requests are
    answered sooner. After the answer nothing is cancelled: what goes on is the application's."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        headers: Any,
        stuck: Callable[[], None],
        deadline: float | None,
    ) -> None:
        self.gone, self._read = asyncio.Event(), asyncio.Event()
        self._receive, self._send, self._stuck = receive, send, stuck
        self._answered = False
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        names = {name for name, value in headers if value != b"0"}
        self._empty = not names & {b"content-length", b"transfer-encoding"}
        if self._empty:  # then nobody need have read it before the connection is watched
            self._read.set()
        self._timer = self._loop.call_later(WATCH_AFTER_S, self._begin)
        self._watching: asyncio.Task[None] | None = None
        self._late = None if deadline is None else self._loop.call_at(deadline + STUCK_S, stuck)

    async def receive(self) -> Message:
        """The request's body, then its client's end."""
        if self._empty:
            self._empty = False
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._read.is_set():
            await self.gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone.set()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._read.set()
        return message

    async def send(self, message: Message) -> None:
        """As the server's, noting the answer's end."""
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._answered = True

    def end(self) -> None:
        """The application has ended."""
        self._timer.cancel()
        if self._late is not None:
            self._late.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _begin(self) -> None:
        self._watching = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        await self._read.wait()
        while not self.gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self.gone.set()
        if self._answered or self._task is None:
            return
        self._task.cancel()
        self._timer = self._loop.call_later(STUCK_S, self._stuck)


def _context(header: bytes | None) -> Context:
    if header is None:
        return Context("none")
    request_id, api, version, left, key, job, trace = json.loads(header)
    deadline = None if left is None else asyncio.get_running_loop().time() + left
    return Context(request_id, api, version, deadline, key, job, trace)


async def _send_json(send: Send, value: Any) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Teller:
    """Records on the real standard output, whatever the service makes of `sys.stdout`."""

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(1), "wb")
        self._lock = threading.Lock()

    def log(self, line: str, **fields: Any) -> None:
        """A line of the version's log; from any thread."""
        self.tell({"line": line, **fields})

    def tell(self, record: dict[str, Any]) -> None:
        text = f"{RECORD}{json.dumps(record, default=str)}\n".encode()
        with contextlib.suppress(OSError), self._lock:
            self._output.write(text)
            self._output.flush()

    async def tell_counts(self, pool: LocalPool) -> None:
        """Once a second, what the service has counted and its own families, where they changed."""
        last: dict[str, Any] = {}
        while True:
            await asyncio.sleep(COUNTS_S)
            now: dict[str, Any] = {"counts": snapshot(pool.counts)}
            if pool.metrics is not None:
                from prometheus_client import generate_latest

                now["families"] = generate_latest(pool.metrics).decode()
            if now != last:
                self.tell(now)
                last = now


async def _watch_node() -> None:
    """End when the node does: its end closes our standard input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    os._exit(1)


async def _serve(given: dict[str, Any], teller: _Teller) -> None:
    import uvicorn

    from descent.deploy.pools.local import LocalBackend
    from descent.deploy.spec import make_spec

    log = teller.log
    tracing.begin()
    spec = make_spec(given["spec"])
    watching = asyncio.ensure_future(_watch_node())
    backend = LocalBackend()
    start = Start(spec, given["version"], Path(given["folder"]), log, given["config"])
    pool = await backend.start(start)

    counting = asyncio.ensure_future(teller.tell_counts(pool))

    def stuck() -> None:
        if not pool.stoppable:
            return
        log(f"work goes on {STUCK_S:g} s after its caller has gone: ended", level="error")
        os._exit(STUCK)

    app = ChildApp(pool.app, pool.signature, spec.networking.endpoint or "", stuck)
    config = uvicorn.Config(
        app, uds=given["socket"], lifespan="off", access_log=False, log_level="warning",
        server_header=False, date_header=False, timeout_keep_alive=30, timeout_graceful_shutdown=5,
    )  # fmt: skip
    try:
        await uvicorn.Server(config).serve()
    finally:
        watching.cancel()
        counting.cancel()
        await backend.close()


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        asyncio.run(serving)
    else:
        uvloop.run(serving)


def main() -> None:
    """Serve what standard input says, until told to end."""
    given = json.loads(sys.stdin.buffer.readline())
    teller = _Teller()
    try:
        _run(_serve(given, teller))
    except LoadError as error:
        teller.log(str(error), level="error")
        os._exit(NOT_LOADED)  # threads that the service has left must not keep it


if __name__ == "__main__":
    main()
