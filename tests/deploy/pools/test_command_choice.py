"""Choosing a replica: bounds hold, nobody is forgotten, order is kept."""

import asyncio
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.pools import command_choice
from descent.deploy.pools.command_choice import Choice


@dataclass(eq=False)
class One:
    in_flight: int = 0
    ready: bool = True


@given(
    replicas=st.integers(1, 3),
    most=st.integers(1, 3),
    asked=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=30),
)
def test_bounds_hold_and_all_who_stay_are_served(replicas, most, asked):
    async def all_of_them():
        many = [One() for _ in range(replicas)]
        choice = Choice(many, most)
        served = []

        async def work(n, steps):
            one = await choice.take(set())
            try:
                assert one.in_flight <= most
                served.append(n)
                for _ in range(steps):
                    await asyncio.sleep(0)
            finally:
                choice.give_back(one)

        tasks = [asyncio.ensure_future(work(n, steps)) for n, (steps, _) in enumerate(asked)]
        await asyncio.sleep(0)
        for task, (_, leaves) in zip(tasks, asked):
            if leaves:
                task.cancel()
                await asyncio.sleep(0)
        await asyncio.wait(tasks)
        assert all(one.in_flight == 0 for one in many)
        return served

    served = asyncio.run(asyncio.wait_for(all_of_them(), 5))
    assert set(served) >= {n for n, (_, leaves) in enumerate(asked) if not leaves}
    assert served == sorted(served)


def test_the_least_loaded_in_turn_and_none_that_was_tried():
    async def main():
        many = [One(), One(), One(ready=False)]
        choice = Choice(many)
        taken = [await choice.take(set()) for _ in range(6)]
        assert [one.in_flight for one in many] == [3, 3, 0]
        for one in taken:
            choice.give_back(one)
        assert await choice.take({id(many[0])}) is many[1]
        assert await choice.take({id(many[0]), id(many[1])}) is None

    asyncio.run(main())


def test_all_who_wait_hear_that_none_is_ready_any_more():
    async def main():
        one = One()
        choice = Choice([one], 1)
        assert await choice.take(set()) is one
        waiting = [asyncio.ensure_future(choice.take(set())) for _ in range(3)]
        await asyncio.sleep(0)
        one.ready = False
        choice.give_back(one)
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [None] * 3

    asyncio.run(main())


def test_one_that_broke_off_is_asked_last_for_a_moment(monkeypatch):
    monkeypatch.setattr(command_choice, "DOUBT_S", 0.05)

    async def main():
        broken, other = many = [One(), One()]
        choice = Choice(many, most=2)
        assert await choice.take({id(other)}) is broken
        choice.give_back(broken, broken=True)
        assert [await choice.take(set()) for _ in range(2)] == [other, other]
        assert await choice.take(set()) is broken  # the other one is full
        choice.give_back(broken)
        await asyncio.sleep(0.06)
        assert await choice.take(set()) is broken

    asyncio.run(main())
