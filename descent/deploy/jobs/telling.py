"""Progress on its way into the store: thinned out, from any thread, never in the work's way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from descent.deploy.jobs.store import Lease, Store, StoreError

__all__ = ["ProgressTeller"]

EVERY_S = 0.5
LONGEST = 10_000  # characters of JSON


class ProgressTeller:
    """`tell(progress)` may be called from any thread, as often as one likes."""

    def __init__(self, store: Store, lease: Lease):
        self.store, self.lease = store, lease
        self._loop = asyncio.get_running_loop()
        self._latest: Any = None
        self._task: asyncio.Task[None] | None = None

    def tell(self, progress: Any) -> None:
        """Raises `TypeError` or `ValueError` for what JSON cannot hold, or too much of it."""
        text = json.dumps(progress, allow_nan=False)
        if len(text) > LONGEST:
            raise ValueError(f"progress of {len(text)} characters; at most {LONGEST} are kept")
        self._loop.call_soon_threadsafe(self._note, json.loads(text))

    def _note(self, progress: Any) -> None:
        self._latest = progress
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._send())

    async def _send(self) -> None:
        while self._latest is not None:
            progress, self._latest = self._latest, None
            with contextlib.suppress(StoreError):
                await self.store.set_progress(self.lease, progress)
            await asyncio.sleep(EVERY_S)

    def __enter__(self) -> ProgressTeller:
        return self

    def __exit__(self, *_: object) -> None:
        """The attempt is over: its result says more than its progress."""
        if self._task is not None:
            self._task.cancel()
