"""Loops that run beside everything else: begun, repeated whatever happens, ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from descent.deploy.jobs.store import StoreError

__all__ = ["end_loop", "repeat", "set_within"]

AGAIN_S = 1.0
log = logging.getLogger("descent.deploy.jobs")


def repeat(step: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
    """Do `step` again and again. A store that does not answer is waited for; any other error is
    logged, and the loop goes on: no defect may stop an API's work for good."""

    async def for_ever() -> None:
        while True:
            try:
                await step()
            except StoreError as error:
                log.warning("%s: %s", name, error)
                await asyncio.sleep(AGAIN_S)
            except Exception:
                log.exception("%s goes on after an error", name)
                await asyncio.sleep(AGAIN_S)

    return asyncio.create_task(for_ever(), name=name)


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
