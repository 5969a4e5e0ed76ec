"""Deadlines and absent clients, looked for every 20 ms: no timer and no task for a request."""

from __future__ import annotations

import asyncio
import time

from descent.deploy.gateway.exchange import Exchange

__all__ = ["Sweeper"]

EVERY_S = 0.02
LISTEN_AFTER = 5  # sweeps: a request that lives longer is listened to


class Sweeper:
    """Watches those exchanges that have a deadline or must be listened to; sleeps without any."""

    def __init__(self) -> None:
        self._watched: dict[Exchange, int] = {}  # sweeps it has seen
        self._running = False

    def watch(self, exchange: Exchange) -> None:
        """From now until `leave`."""
        self._watched[exchange] = 0
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_later(EVERY_S, self._sweep)

    def leave(self, exchange: Exchange) -> None:
        """It has ended."""
        self._watched.pop(exchange, None)

    def _sweep(self) -> None:
        now = time.monotonic()
        for exchange, seen in list(self._watched.items()):
            self._watched[exchange] = seen + 1
            if exchange.body is not None and seen >= LISTEN_AFTER:
                exchange.body.listen()
            exchange.check_deadline(now)
        self._running = bool(self._watched)
        if self._running:
            asyncio.get_running_loop().call_later(EVERY_S, self._sweep)
