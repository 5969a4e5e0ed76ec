"""Which replica gets a request: the least loaded that is ready, and none more than it may have.

Those that find all of them full wait in order: `pod.max_concurrency` is the bound of each replica,
also while another one is being restarted and the gateway still counts it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from descent.deploy.pools.command_replica import ReplicaRun

__all__ = ["Choice"]


class Choice:
    """Takes and gives back places of `replicas` (the list may change). `most` None: no bound."""

    def __init__(self, replicas: Sequence[ReplicaRun], most: int | None = None) -> None:
        self._replicas, self._most = replicas, most
        self._turn = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, tried: set[int]) -> ReplicaRun | None:
        """A place in a ready replica that isn't among `tried` (by id); None if there is none."""
        place = None
        while (found := self._least_loaded(tried)) is not None:
            if self._most is None or found.in_flight < self._most:
                found.in_flight += 1
                return found
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._wake()  # it was given a place a moment ago: another may have it
                raise
        if place is not None:
            self._wake()  # who waits behind it must not wait for a place it will not give back
        return None

    def give_back(self, replica: ReplicaRun) -> None:
        """The request has ended."""
        replica.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return

    def _least_loaded(self, tried: set[int]) -> ReplicaRun | None:
        ready = [one for one in self._replicas if one.ready and id(one) not in tried]
        if not ready:
            return None
        self._turn += 1
        turn = self._turn % len(ready)
        return min(ready[turn:] + ready[:turn], key=lambda one: one.in_flight)
