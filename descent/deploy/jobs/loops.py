"""Loops that run beside everything else: waiting for an event or a while, and being ended."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["end_loop", "set_within"]

AGAIN_S = 1.0


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set (True) or the time is over (False).

    Not `wait_for`: before Python 3.12 it forgets a cancellation that comes with the event.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def end_loop(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task until it has ended; what it raised is dropped."""
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_S)
    if task is not None and not task.cancelled():
        task.exception()
