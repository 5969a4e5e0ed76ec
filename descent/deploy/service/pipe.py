"""What a generator gives in a thread, brought to the event loop: bounded, in order, in groups.

    thread: put, put, put … waits while `_FULL` items are not taken    loop: all there is, at once

So a slow reader slows the generator down, and a fast generator costs one wake-up of the loop for
many items. The first item wakes it at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from descent.deploy.service.calls import Call, Stopped
from descent.deploy.service.threads import Workers

__all__ = ["Pipe"]

_FULL = 64
_BETWEEN_ITEMS_S = 0.25  # what an item may still take once nobody wants it


class Pipe:
    """`call` is the thread's; `groups()` its items. Closing ends the generator before its next
    item, or by `Stopped` if that takes long."""

    def __init__(
        self, workers: Workers, items: Iterable[Any], convert: Callable[[Any], Any]
    ) -> None:
        self._workers = workers
        self._loop = asyncio.get_running_loop()
        self._items: deque[Any] = deque()
        self._room = threading.Event()
        self._woken = False
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self.call: Call = workers.submit(self._pump, items, convert)
        self.call.future.add_done_callback(self._end)

    async def groups(self) -> AsyncGenerator[list[Any], None]:
        """The items, as many at a time as have come; raises what the generator raised."""
        try:
            while True:
                group = []
                while self._items:
                    group.append(self._items.popleft())
                if group:
                    self._room.set()
                    yield group
                elif self.call.future.done():
                    if not self._items:
                        self.call.future.result()
                        return
                else:
                    self._waiter = self._loop.create_future()
                    await self._waiter
        finally:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self._room.set()
        if not self.call.ended:
            self._loop.call_later(_BETWEEN_ITEMS_S, self._workers.stop, self.call)

    def _end(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled():
            future.exception()  # seen, though perhaps nobody reads on
        self._wake()

    def _wake(self) -> None:
        self._woken = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # In the thread.

    def _pump(self, items: Iterable[Any], convert: Callable[[Any], Any]) -> None:
        try:
            for item in items:
                self._put(convert(item))
        finally:
            if (close := getattr(items, "close", None)) is not None:
                close()

    def _put(self, item: Any) -> None:
        self._items.append(item)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._wake)
        while len(self._items) >= _FULL and not self._closed:
            self._room.clear()
            if len(self._items) >= _FULL and not self._closed:  # else it was taken in between
                self._room.wait()
        if self._closed:
            raise Stopped
