"""Changes that are committed together, and those that are refused alone."""

import asyncio
import threading

import pytest

from descent.deploy.jobs.store import NewJob, StoreError
from tests.deploy.jobs.store.conftest import units


class Gate:
    """A change that keeps the writer busy until it is opened, so that others must wait together."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, tx) -> None:
        self.entered.set()
        assert self.opened.wait(10)


async def behind(store, *changes):
    """All of `changes` (functions of a transaction), handed over while the writer is busy; what
    came of each, and how many transactions there were."""
    gate = Gate()
    first = asyncio.create_task(store.database.write(gate))
    await asyncio.to_thread(gate.entered.wait)
    begun = 0
    session = store.database._writer.session
    begin = session.begin

    def counting(**options):
        nonlocal begun
        begun += 1
        begin(**options)

    session.begin = counting
    tasks = [asyncio.create_task(store.database.write(change)) for change in changes]
    await asyncio.sleep(0)
    gate.opened.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True), begun


def setting(name):
    def change(tx):
        tx.run("INSERT INTO setting (name, value) VALUES (?, '1')", name)
        if name == "bad":
            raise ValueError("no such thing")
        return name

    return change


def test_changes_that_wait_share_a_transaction(bench):
    results, begun = bench(behind(bench.store, *[setting(f"s{i}") for i in range(50)]))
    assert results == [f"s{i}" for i in range(50)]
    assert begun == 1
    assert len(bench(bench.store.settings.all("s"))) == 50


def test_a_change_that_fails_is_refused_alone(bench):
    results, _ = bench(behind(bench.store, *map(setting, ["a", "bad", "b"])))
    assert (results[0], results[2]) == ("a", "b")
    assert isinstance(results[1], ValueError)
    assert set(bench(bench.store.settings.all())) == {"a", "b"}


def test_a_call_that_was_cancelled_before_its_change_began_changes_nothing(bench):
    async def run():
        gate = Gate()
        first = asyncio.create_task(bench.store.database.write(gate))
        await asyncio.to_thread(gate.entered.wait)
        submitting = asyncio.create_task(bench.store.submit(NewJob("api", "AsyncAPI"), units(1)))
        await asyncio.sleep(0)
        submitting.cancel()
        await asyncio.sleep(0)
        gate.opened.set()
        await first
        return (await bench.store.jobs()).items

    assert bench(run()) == []


def test_closing_finishes_what_was_handed_over_and_takes_nothing_more(bench):
    other = bench.another()

    async def run():
        tasks = [asyncio.create_task(other.settings.set(f"s{i}", i)) for i in range(20)]
        await asyncio.sleep(0)
        await other.close()
        await asyncio.gather(*tasks)
        with pytest.raises(StoreError, match="closed"):
            await other.settings.set("late", 1)

    bench(run())
    bench.extra.clear()
    assert len(bench(bench.store.settings.all("s"))) == 20


def test_a_lease_whose_caller_was_cancelled_is_given_back_and_not_counted(bench):
    bench.submit(3, attempts=1)

    async def run():
        gate = Gate()
        first = asyncio.create_task(bench.store.database.write(gate))
        await asyncio.to_thread(gate.entered.wait)
        second = Gate()
        leasing = asyncio.create_task(bench.store.lease("api", 2, worker="w"))
        blocking = asyncio.create_task(bench.store.database.write(second))
        await asyncio.sleep(0)
        gate.opened.set()
        await asyncio.to_thread(second.entered.wait)  # leased, not yet committed
        leasing.cancel()
        await asyncio.sleep(0)
        second.opened.set()
        await asyncio.gather(first, blocking)
        while (await bench.store.counts("api"))["leased"]:
            await asyncio.sleep(0.005)
        return await bench.store.lease("api", 5, worker="w")

    assert [(lease.index, lease.attempt) for lease in bench(run())] == [(0, 1), (1, 1), (2, 1)]
