"""Processes that are killed, connections that are cut, a server whose power fails: each unit has
one result, nothing accepted is lost."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from bench.sides.jobs_harness import CutConnections, Workers, accept, outcome
from descent.deploy.jobs.store import Database, NewJob, NewUnit, Store
from tests.deploy.postgres import fresh_url, server

LEASE_S = 0.4


def check(url, id, workers):
    found = outcome(url, id, workers.acknowledged())
    assert found.exactly_once, found
    assert found.told == 1


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_workers_killed_at_random_commit_each_unit_once(database, tmp_path):
    n, kills, rng = 3000, 10, random.Random(5)
    url = fresh_url() if database == "postgres" else f"sqlite:///{tmp_path}/jobs.db"
    id = accept(url, n, events=("on-job-complete",))
    with Workers(url, id, tmp_path / "log", lease_s=LEASE_S, pause_s=0.15) as workers:
        workers.start()
        for _ in range(kills):
            workers.start()
            workers.kill_when_at_work(rng, within_s=0.1)
        assert len(workers.acknowledged()) < n, "the last kill was in time"
        workers.finish()
    check(url, id, workers)


def test_cut_connections_lose_and_double_nothing(tmp_path):
    url = fresh_url()
    id = accept(url, 1000, events=("on-job-complete",))
    with (
        Workers(url, id, tmp_path / "log", lease_s=LEASE_S) as workers,
        CutConnections(server().url, between_s=(0.03, 0.2)) as cutting,
    ):
        workers.start()
        workers.start()
        workers.finish()
    assert cutting.cut > 0
    check(url, id, workers)


def test_submissions_over_cut_connections_are_accepted_once():
    url = fresh_url()

    async def run():
        store = Store(Database.open(url))
        made = []
        with CutConnections(server().url):
            for i in range(40):
                job = NewJob("api", "AsyncAPI", idempotency_key=str(i), fingerprint="f")
                made.append(await store.submit(job, [NewUnit()]))
                await asyncio.sleep(0.01)
        kept = (await store.jobs("api", limit=1000)).items
        await store.close()
        return made, kept

    made, kept = asyncio.run(run())
    assert all(one.fresh for one in made)
    assert {one.job.id for one in made} == {job.id for job in kept}
    assert len(kept) == 40


def test_a_server_whose_power_fails_is_waited_for(tmp_path):
    url = fresh_url()
    id = accept(url, 800, events=("on-job-complete",))
    with Workers(url, id, tmp_path / "log", lease_s=LEASE_S) as workers:
        workers.start()
        until = time.monotonic() + 20
        while not workers.acknowledged() and time.monotonic() < until:
            time.sleep(0.01)
        server().stop("immediate")
        server().start()
        workers.finish()
    check(url, id, workers)
