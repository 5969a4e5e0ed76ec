"""Admission: the bound holds, the queue keeps its order, nothing is lost by cancelling."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.errors import HttpError
from descent.deploy.gateway import Limits, Served


def served(**limits):
    return Served("api", 1, None, Limits(**limits))


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_waiting_in_order():
    async def run():
        one, order = served(max_concurrency=1, max_queue_length=3), []
        assert one.try_enter()

        async def come(name):
            await one.enter()
            order.append(name)

        tasks = [asyncio.create_task(come(name)) for name in "abc"]
        await settle()
        assert (one.in_flight, one.queued) == (1, 3)
        assert not one.try_enter()  # nobody overtakes
        for n in range(3):
            one.leave()
            await settle()
            assert len(order) == n + 1
            assert one.in_flight == 1
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "c"]

    asyncio.run(run())


@pytest.mark.parametrize("status", [503, 429])
def test_past_the_queue(status):
    async def run():
        full = served(max_concurrency=2, max_queue_length=0, overflow_status=status)
        full.mean_s = 3.0
        full.try_enter(), full.try_enter()
        with pytest.raises(HttpError, match="pending request queue full") as caught:
            await full.enter()
        assert caught.value.status == status
        assert (b"retry-after", b"3") in caught.value.headers()  # 2 ahead · 3 s / 2 at a time

    asyncio.run(run())


def test_retry_after_is_at_least_a_second():
    assert (b"retry-after", b"1") in served(max_queue_length=0).refusal().headers()


def test_hold_and_release():
    async def run():
        held, woken = served(max_concurrency=2), []
        held.on_wait = lambda: woken.append(True)
        held.hold()
        waiting = [asyncio.create_task(held.enter()) for _ in range(3)]
        await settle()
        assert held.queued == 3
        assert woken
        held.release()
        await settle()
        assert (held.in_flight, held.queued) == (2, 1)
        held.set_limits(Limits(max_concurrency=3))
        await asyncio.gather(*waiting)
        assert held.in_flight == 3

    asyncio.run(run())


def test_drained():
    async def run():
        busy = served()
        assert await busy.drained(0)
        busy.try_enter()
        assert not await busy.drained(0.01)
        waiting = asyncio.create_task(busy.drained(5))
        queued = asyncio.create_task(busy.enter())
        await settle()
        busy.leave()
        await queued
        assert not waiting.done()  # who waited has entered
        busy.leave()
        assert await waiting

    asyncio.run(run())


def test_samples_are_a_window():
    one = served(max_concurrency=9)
    for second in range(100):
        if second % 2:
            one.in_flight = second
        one.sample(float(second))
    assert one.samples(3) == [97, 97, 99]
    assert len(one.samples(1000)) == 100


actions = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "cancel", "hold", "release"]), st.integers(0, 9))
)


@given(actions, st.integers(1, 3), st.integers(0, 3))
def test_nothing_is_lost_and_the_bound_holds(actions, concurrency, queue):
    async def run():
        one = served(max_concurrency=concurrency, max_queue_length=queue)
        tasks, inside = [], []

        async def come():
            await one.enter()
            inside.append(asyncio.current_task())

        for action, which in actions:
            if action == "come":
                tasks.append(asyncio.create_task(come()))
            elif action == "leave" and inside:
                inside.pop()
                one.leave()
            elif action == "cancel" and tasks:
                tasks[which % len(tasks)].cancel()  # perhaps in the very turn it was let in
            elif action in ("hold", "release"):
                getattr(one, action)()
            if which % 2:
                await settle()
            assert one.in_flight <= concurrency
        one.release()
        for _ in range(len(tasks) + 1):
            await settle()
            assert one.in_flight == len(inside)
            while inside:
                inside.pop()
                one.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        while inside:
            inside.pop()
            one.leave()
        assert (one.in_flight, one.queued) == (0, 0)

    asyncio.run(run())
