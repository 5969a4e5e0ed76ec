"""How units are worked on: in what order, how many at once, what becomes of lost leases."""

import asyncio
import contextlib

import pytest

from descent.deploy.jobs.store import Content, Database, NewJob, NewUnit, Store, StoreUnavailable
from descent.deploy.jobs.working import Done, Failed, Workers
from tests.deploy.jobs.nodes import in_loop


async def empty():
    return Content(b"ok")


@contextlib.asynccontextmanager
async def workers(folder, work, *, units=1, capacity=1, lease_s=30.0, attempts=3, start=True):
    store = Store(Database.open(f"sqlite:///{folder / 'jobs.db'}"))
    job = NewJob(api="a", kind="BatchAPI", attempts=attempts, backoff_s=0.001)
    job = (await store.submit(job, [NewUnit()] * units)).job
    told = []
    made = Workers(
        store, "a", name="me", work=work, capacity=lambda: capacity, lease_s=lease_s,
        told=lambda lease, outcome, seconds, state: told.append((lease.index, state)), job=job.id,
    )  # fmt: skip
    if start:
        made.start()
    try:
        yield made, store, job.id, told
    finally:
        await made.close()
        await store.close()


async def until_ended(store, id):
    while (job := await store.job(id)).open:
        await asyncio.sleep(0.005)
    return job


@in_loop
async def test_each_unit_once_never_more_than_capacity(tmp_path):
    now, most, seen = 0, 0, []

    async def work(lease):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        seen.append(lease.index)
        return Done(empty)

    async with workers(tmp_path, work, units=300, capacity=3) as (made, store, id, told):
        job = await until_ended(store, id)
        assert (job.status, job.done) == ("succeeded", 300)
        assert sorted(seen) == list(range(300))
        assert most == 3
        while made.active:
            await asyncio.sleep(0.005)
        assert sorted(told) == [(i, "done") for i in range(300)]


@in_loop
async def test_the_last_attempt_is_made_alone(tmp_path):
    """A unit that kills the process at its last attempt takes no other with it."""
    running, beside = set(), []

    async def work(lease):
        beside.append((lease.index, lease.attempt, len(running)))
        running.add(lease.index)
        await asyncio.sleep(0.005)
        running.discard(lease.index)
        return Failed("always") if lease.index in (3, 5) else Done(empty)

    async with workers(tmp_path, work, units=12, capacity=4) as (_, store, id, _):
        job = await until_ended(store, id)
        assert (job.done, job.failed) == (10, 2)
        last = [(index, others) for index, attempt, others in beside if attempt == 3]
        assert sorted(last) == [(3, 0), (5, 0)]
        assert max(others for *_, others in beside) == 3  # the others were not
        letters = await store.dead_letters("a")
        assert [unit.attempts for unit in letters.items] == [3, 3]


@in_loop
async def test_a_killed_neighbour_keeps_its_attempts(tmp_path):
    """Those leased beside a last attempt are given back uncounted."""
    hold = asyncio.Event()

    async def work(lease):
        await hold.wait()
        return Done(empty)

    async with workers(tmp_path, work, units=2, capacity=4, start=False) as (made, store, id, _):
        for _ in range(2):
            for lease in await store.lease("a", 2, worker="gone", job=id):
                await store.fail(lease, "killed", retry_after_s=0)
        made.start()
        while not made.begun:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        states = [(unit.state, unit.attempts) for unit in (await store.units(id)).items]
        assert sorted(states) == [("leased", 3), ("queued", 2)]
        hold.set()
        assert (await until_ended(store, id)).done == 2


@in_loop
async def test_last_attempts_are_given_back_by_one_that_closes(tmp_path):
    async def work(lease):
        return Done(empty)

    async with workers(tmp_path, work, units=4, capacity=4, start=False) as (made, store, id, _):
        for _ in range(2):
            for lease in await store.lease("a", 4, worker="gone", job=id):
                await store.fail(lease, "killed", retry_after_s=0)
        real, releasing = store.release, asyncio.Event()

        async def slow(lease):
            if not releasing.is_set():
                releasing.set()
                await asyncio.sleep(60)  # until it is cancelled
            return await real(lease)

        store.release = slow
        made.start()
        await releasing.wait()
        await made.close()
        units = (await store.units(id)).items
        assert [(unit.state, unit.attempts) for unit in units] == [("queued", 2)] * 4


@in_loop
async def test_a_long_last_attempt_does_not_hold_up_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("descent.deploy.jobs.working.ALONE_S", 0.1)
    hold = asyncio.Event()

    async def work(lease):
        if lease.index == 0:
            await hold.wait()
        return Done(empty)

    async with workers(tmp_path, work, units=5, capacity=2, start=False) as (made, store, id, _):
        for _ in range(2):
            for lease in await store.lease("a", 5, worker="gone", job=id):
                if lease.index == 0:
                    await store.fail(lease, "killed", retry_after_s=0)
                else:
                    await store.release(lease)
        made.start()
        while (await store.job(id)).done < 4:
            await asyncio.sleep(0.01)
        hold.set()
        assert (await until_ended(store, id)).done == 5


@in_loop
async def test_leases_are_renewed_while_the_work_goes_on(tmp_path):
    async def work(lease):
        await asyncio.sleep(1.0)
        return Done(empty)

    async with workers(tmp_path, work, lease_s=0.3) as (_, store, id, told):
        for _ in range(8):
            await store.sweep()
            await asyncio.sleep(0.1)
        await until_ended(store, id)
        while not told:
            await asyncio.sleep(0.005)
        assert told == [(0, "done")]
        assert (await store.unit(id)).attempts == 1


@in_loop
async def test_a_lost_lease_stops_the_work(tmp_path):
    stopped = asyncio.Event()

    async def work(lease):
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async with workers(tmp_path, work, lease_s=0.15) as (made, store, id, told):
        while not made.begun:
            await asyncio.sleep(0.005)
        await store.cancel(id)
        await asyncio.wait_for(stopped.wait(), 5)
        while made.active:
            await asyncio.sleep(0.005)
        assert told == []


@in_loop
async def test_a_result_that_came_too_late_is_refused(tmp_path):
    go = asyncio.Event()

    async def work(lease):
        await go.wait()
        return Done(empty)

    async with workers(tmp_path, work) as (made, store, id, told):
        while not made.begun:
            await asyncio.sleep(0.005)
        await store.recover("me")  # as if another took this one for dead
        (other,) = await store.lease("a", 1, worker="other", job=id)
        assert await store.commit(other, Content(b"the other's"))
        go.set()
        while not told:
            await asyncio.sleep(0.005)
        assert told == [(0, "refused")]
        assert (await store.unit(id)).result.data == b"the other's"


@in_loop
async def test_a_database_that_is_away_for_a_while(tmp_path):
    async def work(lease):
        return Done(empty)

    async with workers(tmp_path, work, units=20, start=False) as (made, store, id, _):
        real, away = store.commit, 5

        async def commit(lease, content):
            nonlocal away
            if away:
                away -= 1
                raise StoreUnavailable("no answer")
            return await real(lease, content)

        store.commit = commit
        made.start()
        job = await until_ended(store, id)
        assert (job.done, job.retried, away) == (20, 0, 0)


@pytest.mark.parametrize("grace_s", [0.0, 5.0])
@in_loop
async def test_closing(tmp_path, grace_s):
    async def work(lease):
        await asyncio.sleep(0.2)
        return Done(empty)

    async with workers(tmp_path, work, units=8, capacity=2) as (made, store, id, _):
        while not made.begun:
            await asyncio.sleep(0.005)
        await made.close(grace_s)
        assert not made.active
        job = await store.job(id)
        assert (job.running, job.done) == (0, 2 if grace_s else 0)
        attempts = [unit.attempts for unit in (await store.units(id, state=["queued"])).items]
        assert attempts == [0] * (6 if grace_s else 8)  # given back: as if never begun


@in_loop
async def test_no_capacity_no_leases(tmp_path):
    async def work(lease):
        return Done(empty)

    async with workers(tmp_path, work, units=3, capacity=0) as (made, store, id, _):
        await asyncio.sleep(0.1)
        assert (await store.job(id)).running == 0
        made.capacity = lambda: 2
        assert (await until_ended(store, id)).done == 3
