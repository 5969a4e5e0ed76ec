"""A node in the test's own process: a store, files, one job API, a pool that is a function."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from descent.deploy.asking import Answer, ask
from descent.deploy.jobs.api import JobApi
from descent.deploy.jobs.inputs import Inputs
from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import Database, Store
from descent.deploy.pool import Context, Replica

__all__ = ["Call", "FunctionPool", "Node", "in_loop", "node"]


def in_loop(test):
    """An `async def` test, run to its end."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(_bounded(test(*args, **kwargs)))

    return run


async def _bounded(awaitable) -> None:
    async with asyncio.timeout(60):
        await awaitable


@dataclass
class Call:
    """What the service saw."""

    path: str
    body: bytes
    headers: dict[str, str]
    query: str

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class FunctionPool:
    """`function(call)` answers: a JSON value, (status, type, bytes), or raises."""

    def __init__(self, function: Callable[[Call], Any]):
        self.function = function
        self.calls: list[Call] = []
        self.signature = None
        self.state = "Ready"
        self.copies = 1
        self.most = self.now = 0

    async def app(self, scope, receive, send):
        message = await receive()
        path = scope["path"].removeprefix(scope["root_path"])
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        call = Call(path, message["body"], headers, scope["query_string"].decode())
        self.calls.append(call)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            said = self.function(call)
            said = await said if inspect.isawaitable(said) else said
        finally:
            self.now -= 1
        if not (isinstance(said, tuple) and len(said) == 3):
            said = 200, "application/json", json.dumps(said).encode()
        status, kind, body = said
        start = {"type": "http.response.start", "status": status}
        await send({**start, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": body})

    def replicas(self):
        return [Replica(f"r{i}", self.state) for i in range(self.copies)]

    async def scale(self, replicas):
        self.state = "Ready" if replicas else "Requested"

    async def close(self, grace_s):
        self.state = "Terminating"


@dataclass
class Node:
    api: JobApi
    store: Store
    pool: FunctionPool
    log: list[tuple[str, dict]] = field(default_factory=list)

    async def __call__(
        self, method: str, path: str = "", body: Any = b"", *, query: str = "", **headers: str
    ) -> Answer:
        """One HTTP request; a body that is no bytes is sent as JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("content_type", "application/json")
        return await ask(
            self.api.app,
            path,
            body,
            context=Context("req-1"),
            method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            root_path=self.api.room.endpoint,
            query=query,
        )

    async def json(self, *args, status: int = 200, **kwargs) -> Any:
        answer = await self(*args, **kwargs)
        assert answer.status == status, answer
        return json.loads(answer.body)

    async def error(self, status: int, *args, **kwargs) -> dict[str, Any]:
        """The error that an answer with this status carries."""
        answer = await self(*args, **kwargs)
        assert answer.status == status, answer
        return json.loads(answer.body)["error"]


@contextlib.asynccontextmanager
async def node(
    folder: Path,
    spec,
    function: Callable[[Call], Any] = lambda call: None,
    *,
    grace_s: float = 0.0,
    inputs: Inputs | None = None,
    code: Path | None = None,
    logs: Path | None = None,
) -> AsyncIterator[Node]:
    store = Store(Database.open(f"sqlite:///{folder / 'jobs.db'}"))
    lines: list[tuple[str, dict]] = []
    api = JobApi(
        spec,
        store,
        Files(folder / "results"),
        lambda line, **fields: lines.append((line, fields)),
        worker="test",
        inputs=inputs or Inputs([folder]),
        logs=logs,
    )
    pool = FunctionPool(function)
    api.use(pool, spec, 1, folder=code or folder)
    await api.start()
    try:
        yield Node(api, store, pool, lines)
    finally:
        await api.close(grace_s)
        await store.close()
