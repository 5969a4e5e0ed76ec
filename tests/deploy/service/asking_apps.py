"""Helpers: an app around an instance, asked in this process."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

from descent.deploy.asking import Answer, ask
from descent.deploy.pool import Context
from descent.deploy.service.app import ServiceApp
from descent.deploy.spec import spec_of


class Log(list):
    """Keeps lines with their fields."""

    def __call__(self, line: str, **fields: Any) -> None:
        self.append((line, fields))

    def text(self) -> str:
        return "\n".join(line for line, _ in self)


def spec_for(**fields: Any) -> Any:
    return spec_of("things:Thing", **{"name": "thing", "max_concurrency": 8, **fields})


@asynccontextmanager
async def served(instance: Any, log: Log | None = None, **fields: Any):
    """The app of an instance; its threads have ended afterwards."""
    app = ServiceApp(instance, spec_for(**fields), log if log is not None else Log())
    await app.start()
    try:
        yield app
    finally:
        await app.close(5.0)
        assert app.workers._threads == 0
        assert app.in_flight == 0


async def post(
    app: Any, value: Any = None, path: str = "", *, timeout_s: float | None = None, **more: Any
) -> Answer:
    """POST a value (bytes as they are, else JSON)."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
    context = Context("request-1", api="thing", deadline=deadline)
    return await ask(app, path, body, context=context, root_path="/thing", **more)


async def told(app: Any, value: Any = None, path: str = "", **more: Any) -> Any:
    """The JSON of a good answer."""
    answer = await post(app, value, path, **more)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def error_of(answer: Answer) -> dict[str, Any]:
    return json.loads(answer.body)["error"]
