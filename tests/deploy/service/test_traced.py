"""A call that is stopped, or cannot be, does not hold up traced code of other threads: Python 3.11
gets no further there while an asynchronous exception is on its way."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest

from descent.deploy.service.threads import Workers


def traced(results: list[int]) -> None:
    """Some Python under a trace function, as the templates' sandbox runs it."""

    def work() -> int:
        total = 0
        for i in range(2000):
            total += abs(i)
        return total

    sys.settrace(lambda *event: None)
    try:
        results.append(work())
    finally:
        sys.settrace(None)


def finishes(within_s: float) -> bool:
    results: list[int] = []
    thread = threading.Thread(target=traced, args=(results,), daemon=True)
    thread.start()
    thread.join(within_s)
    return bool(results)


async def stopped(function, workers: Workers) -> None:
    task = asyncio.create_task(workers.run(function))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_after_a_stop_code_is_traced_as_before():
    def busy() -> None:
        while True:
            time.sleep(0.001)

    async def story() -> None:
        workers = Workers(1)
        await stopped(busy, workers)
        await workers.close(1.0)

    asyncio.run(story())
    assert finishes(5.0)


def test_while_a_call_cannot_be_stopped_traced_code_goes_on():
    async def story() -> None:
        workers = Workers(1)
        call = workers.submit(time.sleep, 3.0)
        await asyncio.sleep(0.05)
        workers.stop(call)
        assert await asyncio.to_thread(finishes, 2.0)
        assert not call.ended
        await workers.close(0.0)

    asyncio.run(story())
    assert finishes(5.0)
