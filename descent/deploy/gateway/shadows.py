"""Copies of requests for a version on trial; nobody waits for their answers.

A copy is dropped where the shadow has no room at once: trying a version out may cost its callers
nothing. Reference: Cortex' TrafficSplitter (`shadow: true`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from starlette.types import Scope

from descent.deploy.asking import ask
from descent.deploy.gateway.metrics import Metrics
from descent.deploy.gateway.served import Served
from descent.deploy.pool import Context

__all__ = ["Shadows"]

log = logging.getLogger("descent.deploy.gateway")


class Shadows:
    """Sends copies; their outcome is counted under the shadow's own API."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._running: set[asyncio.Task[None]] = set()

    def copier(self, served: Served, scope: Scope, context: Context) -> Callable[[bytes], None]:
        """What is to be called with the whole body."""

        def copy(body: bytes) -> None:
            if served.try_enter():
                task = asyncio.create_task(self._ask(served, dict(scope), context, body))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

        return copy

    async def _ask(self, served: Served, scope: Scope, context: Context, body: bytes) -> None:
        began, status, size = time.monotonic(), 500, 0
        root = scope["root_path"]
        try:
            async with asyncio.timeout(served.limits.timeout_s):
                answer = await ask(
                    served.app,
                    scope["path"].removeprefix(root),
                    body,
                    context=replace(context, api=served.api, version=served.version),
                    method=scope["method"],
                    headers=[
                        (k.decode("latin-1"), v.decode("latin-1"))
                        for k, v in scope["headers"]
                        if k not in (b"content-length", b"transfer-encoding")
                    ],
                    root_path=root,
                    query=scope["query_string"].decode("latin-1"),
                )
            status, size = answer.status, len(answer.body)
        except TimeoutError:
            status = 504
        except Exception:
            log.exception("shadow %s failed, request %s", served.api, context.request_id)
        finally:
            served.leave()
            seconds = time.monotonic() - began
            self._metrics.api(served.api).record(status, seconds, size)
