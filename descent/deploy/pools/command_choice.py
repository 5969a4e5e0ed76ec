"""Which replica gets a request: the least loaded that is ready, and none more than it may have.

Those that find all of them full wait in order: `pod.max_concurrency` is the bound of each replica,
also while another one is being restarted and the gateway still counts it. One that has just broken
an exchange off is asked last for a moment: it may be dead, and nobody has told yet.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from descent.deploy.pools.command_replica import ReplicaRun

__all__ = ["Choice"]

DOUBT_S = 0.5


class Choice:
    """Takes and gives back places of `replicas` (the list may change). `most` None: no bound."""

    def __init__(self, replicas: Sequence[ReplicaRun], most: int | None = None) -> None:
        self._replicas, self._most = replicas, most
        self._turn = 0
        self._doubted: dict[int, float] = {}  # by id, until when
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

    def give_back(self, replica: ReplicaRun, broken: bool = False) -> None:
        """The request has ended; `broken`: the replica broke it off."""
        replica.in_flight -= 1
        if broken:
            self._doubted[id(replica)] = time.monotonic() + DOUBT_S
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
        if self._doubted:
            ready = self._trusted(ready) or ready
        self._turn += 1
        turn = self._turn % len(ready)
        return min(ready[turn:] + ready[:turn], key=lambda one: one.in_flight)

    def _trusted(self, ready: list[ReplicaRun]) -> list[ReplicaRun]:
        """Those with a place and without doubt."""
        now, most = time.monotonic(), self._most
        self._doubted = {one: until for one, until in self._doubted.items() if until > now}
        free = [one for one in ready if most is None or one.in_flight < most]
        return [one for one in free if id(one) not in self._doubted]
