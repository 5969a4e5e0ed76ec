"""Processes that are killed, connections that are cut, a server whose power fails: each unit has
one result, nothing accepted is lost."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from descent.deploy.jobs.store import Content, Database, NewJob, NewUnit, Store
from tests.deploy.postgres import fresh_url, server

ROOT = Path(__file__).parents[4]
LEASE_S = 0.4


def accept(url: str, n: int, **fields) -> str:
    """A job of `n` units in the store."""

    async def run() -> str:
        store = Store(Database.open(url))
        units = [NewUnit(Content(str(i).encode())) for i in range(n)]
        made = await store.submit(NewJob("api", "BatchAPI", attempts=10_000, **fields), units)
        await store.close()
        return made.job.id

    return asyncio.run(run())


def check(url: str, id: str, log: Path, n: int) -> None:
    """Every unit is done, once, and what was acknowledged is what is stored."""

    async def run() -> tuple:
        store = Store(Database.open(url))
        job = await store.job(id)
        units = (await store.units(id, limit=n)).items
        events = (await store.events.list(job=id)).items
        await store.close()
        return job, units, events

    job, units, events = asyncio.run(run())
    assert (job.status, job.total, job.done, job.failed, job.running) == ("succeeded", n, n, 0, 0)
    stored = {unit.index: f"{unit.index} {unit.fence}" for unit in units}
    assert [unit.result.data.decode() for unit in units] == list(stored.values())
    acknowledged = log.read_text(encoding="ascii").splitlines()
    assert [
        line
        for line, times in Counter(line.split()[0] for line in acknowledged).items()
        if times > 1
    ] == []
    assert set(acknowledged) <= set(stored.values())
    assert len(events) == 1, "the end is told once"


class Workers:
    """Worker processes; none is left behind."""

    def __init__(self, url: str, job: str, log: Path, pause_s: float = 0.0) -> None:
        self.command = [
            sys.executable,
            "-m",
            "bench.sides.jobs_worker",
            url,
            "api",
            job,
            str(log),
            str(LEASE_S),
            str(pause_s),
        ]
        self.running: list[subprocess.Popen] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def start(self) -> None:
        self.running.append(subprocess.Popen(self.command, cwd=ROOT))

    def kill_one(self) -> None:
        process = self.running.pop(0)
        process.kill()
        process.wait()

    def finish(self) -> None:
        for process in self.running:
            assert process.wait(timeout=60) == 0


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_workers_killed_at_random_commit_each_unit_once(database, tmp_path):
    n, kills, rng = 3000, 10, random.Random(5)
    url = fresh_url() if database == "postgres" else f"sqlite:///{tmp_path}/jobs.db"
    id, log = accept(url, n, events=("on-job-complete",)), tmp_path / "log"
    log.touch()
    with Workers(url, id, log, pause_s=0.15) as workers:
        workers.start()
        for _ in range(kills):
            workers.start()
            before, until = log.stat().st_size, time.monotonic() + 5
            while log.stat().st_size == before and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.1))
            workers.kill_one()
        assert len(log.read_text(encoding="ascii").splitlines()) < n, "the last kill was in time"
        workers.finish()
    check(url, id, log, n)


def cut(url: str, ending: threading.Event, cuts: list[int]) -> None:
    """Ends every connection of the store, again and again."""
    rng = random.Random(6)
    with psycopg.connect(url, autocommit=True) as connection:
        while not ending.wait(rng.uniform(0.01, 0.1)):
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'descent'"
            ).fetchall()
            cuts.append(len(rows))


def test_cut_connections_lose_and_double_nothing(tmp_path):
    n = 1500
    url, log = fresh_url(), tmp_path / "log"
    id = accept(url, n, events=("on-job-complete",))
    ending, cuts = threading.Event(), []
    cutter = threading.Thread(target=cut, args=(server().url, ending, cuts))
    cutter.start()
    try:
        with Workers(url, id, log) as workers:
            workers.start()
            workers.start()
            workers.finish()
    finally:
        ending.set()
        cutter.join()
    assert sum(cuts) > 0
    check(url, id, log, n)


def test_submissions_over_cut_connections_are_accepted_once():
    url = fresh_url()
    accept(url, 0)
    ending, cuts = threading.Event(), []

    async def run() -> tuple[list, list]:
        store = Store(Database.open(url))
        cutter = threading.Thread(target=cut, args=(server().url, ending, cuts))
        cutter.start()
        try:
            made = []
            for i in range(40):
                job = NewJob("other", "AsyncAPI", idempotency_key=str(i), fingerprint="f")
                made.append(await store.submit(job, [NewUnit()]))
                await asyncio.sleep(0.01)
        finally:
            ending.set()
            cutter.join()
        kept = (await store.jobs("other", limit=1000)).items
        await store.close()
        return made, kept

    made, kept = asyncio.run(run())
    assert all(one.fresh for one in made)
    assert {one.job.id for one in made} == {job.id for job in kept}
    assert len(kept) == 40


def test_a_server_whose_power_fails_is_waited_for(tmp_path):
    url, log = fresh_url(), tmp_path / "log"
    id = accept(url, 800, events=("on-job-complete",))
    with Workers(url, id, log) as workers:
        workers.start()
        until = time.monotonic() + 20
        while not (log.exists() and log.stat().st_size) and time.monotonic() < until:
            time.sleep(0.01)
        server().stop("immediate")
        server().start()
        workers.finish()
    check(url, id, log, 800)
