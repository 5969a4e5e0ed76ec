"""Several processes' stores at once on the same jobs: whatever interleaves, the counters are the
units', ended jobs have no work left, and every job comes to its end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from descent.deploy.jobs.store import Content, NewJob, StoreError, submitting
from tests.deploy.jobs.store.conftest import units

STORES, ACTORS, STEPS = 3, 3, 40


async def act(store, clock, jobs: list[str], rng: random.Random, held: list) -> None:
    """One random call. `held` is shared: leases are also used by those that did not take them."""
    choice = rng.choices(
        [
            "submit",
            "lease",
            "commit",
            "fail",
            "release",
            "renew",
            "cancel",
            "retry",
            "redrive",
            "sweep",
            "time",
        ],
        [2, 6, 8, 3, 1, 1, 1, 1, 1, 2, 1],
    )[0]
    job = rng.choice(jobs) if jobs else None
    lease = rng.choice(held) if held else None
    if choice == "submit" and len(jobs) < 12:
        new = NewJob(
            "api", "BatchAPI", attempts=2, backoff_s=0.0, timeout_s=40.0, events=("webhook",)
        )
        jobs.append((await store.submit(new, units(rng.randint(1, 9)))).job.id)
    elif choice == "lease":
        held += await store.lease("api", rng.randint(1, 4), worker="w", lease_s=10.0)
    elif choice == "commit" and lease:
        await store.commit(lease, Content(b"%d" % lease.fence))
    elif choice == "fail" and lease:
        await store.fail(lease, "e", retry=rng.random() < 0.7)
    elif choice == "release" and lease:
        await store.release(lease)
    elif choice == "renew" and lease:
        await store.renew([lease], 10.0)
    elif choice == "cancel" and job:
        await store.cancel(job)
    elif choice == "retry" and job:
        await store.retry(job)
    elif choice == "redrive":
        await store.redrive("api", limit=3)
    elif choice == "sweep":
        await store.sweep()
    elif choice == "time":
        clock.on(rng.choice([1.0, 5.0, 11.0]))


async def check(store, jobs: list[str]) -> None:
    for id in jobs:
        job = await store.job(id)
        states = Counter(unit.state for unit in (await store.units(id, limit=100)).items)
        assert (job.running, job.done, job.failed) == (
            states["leased"], states["done"], states["dead"] + states["failed"],
        ), (job, states)  # fmt: skip
        if job.open:
            assert job.done + job.failed < job.total, (job, states)
            assert not states["cancelled"], (job, states)
        else:
            assert not states["queued"] + states["leased"], (job, states)
        told = (await store.events.list(job=id, limit=100)).items
        assert len(told) == job.round + (not job.open)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_interleaves_adds_up(bench, seed, monkeypatch):
    monkeypatch.setattr(submitting, "AHEAD", 3)
    stores = [bench.store, *(bench.another() for _ in range(STORES - 1))]
    jobs: list[str] = []
    held: list = []

    async def actor(store, number: int) -> None:
        rng = random.Random(100 * seed + number)
        for _ in range(STEPS):
            await act(store, bench.clock, jobs, rng, held)

    async def run() -> None:
        await asyncio.gather(
            *(actor(store, 10 * i + k) for i, store in enumerate(stores) for k in range(ACTORS))
        )
        await bench.store.sweep()
        await check(bench.store, jobs)
        while (await bench.store.counts("api"))["open_jobs"]:
            bench.clock.on(11.0)
            leases = await bench.store.lease("api", 50, worker="w")
            await asyncio.gather(*(stores[1].commit(lease) for lease in leases))
            await bench.store.sweep()
        await check(bench.store, jobs)

    try:
        bench(asyncio.wait_for(run(), 60))
    except StoreError as error:
        pytest.fail(f"the stores hindered each other: {error}")
    assert len(jobs) > 5
