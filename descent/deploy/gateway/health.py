"""Probes, and the metrics page: `/livez` `/healthz` (this process lives) · `/readyz` · `/metrics`.

`/readyz` is 503 while the node loads or drains; the reason is in its body. Liveness stays 200 then,
or an orchestrator would kill what it should wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from descent.deploy.gateway.answers import only, send_json, send_whole
from descent.deploy.gateway.exposition import render

if TYPE_CHECKING:
    from descent.deploy.gateway.app import Gateway

__all__ = ["Health"]


class Health:
    """The four pages of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def alive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """200 as long as the process can answer at all."""
        only(scope, "GET", "HEAD")
        await send_json(send, {"status": "ok"})

    async def ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """200, or 503 with the reason."""
        only(scope, "GET", "HEAD")
        reason = self._gateway.not_ready
        if reason is not None:
            said = {"status": "not ready", "reason": reason}
            return await send_json(send, said, 503, [(b"retry-after", b"1")])
        names = {} if self._gateway.discreet else {"apis": sorted(self._gateway.routes.by_name)}
        await send_json(send, {"status": "ready", **names})

    async def metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Prometheus' text format."""
        only(scope, "GET", "HEAD")
        body = render(self._gateway.metrics)
        await send_whole(send, 200, body, b"text/plain; version=0.0.4; charset=utf-8")
