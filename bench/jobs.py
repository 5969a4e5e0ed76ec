"""The job store on SQLite and PostgreSQL: accepting, leasing and committing; and 100,000 units
through workers that are killed (-9) twenty times, PostgreSQL's connections cut meanwhile.

"seconds per step" is per job or unit. PostgreSQL is a server started for this, on a unix socket,
fsync on. Each side of the last table must have each unit's result exactly once.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from bench.compare import Result
from bench.sides.jobs_harness import CutConnections, Workers, accept, outcome
from bench.turns import machine_lock
from descent.deploy.jobs.store import Content, Database, NewJob, NewUnit, Store

__all__ = ["run"]

SIDES = ("SQLite", "PostgreSQL")
UNIT = NewUnit(Content(b"x" * 200))
ANSWER = Content(b"y" * 100)
UNITS, KILLS = 100_000, 20
LEASE_S, PAUSE_S = 1.0, 0.015


def run() -> list[Result]:
    """Speeds, then crashes."""
    with tempfile.TemporaryDirectory(prefix="descent-bench-", ignore_cleanup_errors=True) as folder:
        urls, absent = _urls(Path(folder))
        return [*_speeds(urls, absent), _crashes(urls, absent, Path(folder))]


def _urls(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """A fresh store on each side, or why there is none."""
    import pytest

    from tests.deploy.postgres import fresh_url

    urls = {"SQLite": f"sqlite:///{folder}/jobs.db"}
    try:
        urls["PostgreSQL"] = fresh_url()
    except pytest.skip.Exception as reason:
        return urls, {"PostgreSQL": str(reason)}
    return urls, {}


async def _alone(store: Store) -> int:
    for _ in range(300):
        await store.submit(NewJob("alone", "AsyncAPI"), [UNIT])
    return 300


async def _together(store: Store) -> int:
    async def client() -> None:
        for _ in range(100):
            await store.submit(NewJob("api", "AsyncAPI"), [UNIT])

    await asyncio.gather(*(client() for _ in range(64)))
    return 6400


async def _work(store: Store, api: str, n: int) -> int:
    async def worker(name: str) -> int:
        done = 0
        while leases := await store.lease(api, n, worker=name):
            done += sum(await asyncio.gather(*(store.commit(one, ANSWER) for one in leases)))
        return done

    return sum(await asyncio.gather(*(worker(str(i)) for i in range(32))))


async def _fill(store: Store) -> int:
    id = (await store.submit(NewJob("batch", "BatchAPI"), complete=False)).job.id
    for start in range(0, 20_000, 5000):
        await store.add_units(id, [UNIT] * 5000, start=start)
    await store.start_job(id)
    return 20_000


SPEEDS: dict[str, Callable[[Store], Awaitable[int]]] = {
    "jobs: accept a request, one after the other": _alone,
    "jobs: accept a request, 64 at once": _together,
    "jobs: lease a request and commit its result, 32 workers": lambda s: _work(s, "api", 1),
    "jobs: put a batch job's units in": _fill,
    "jobs: lease and commit a batch job's units, 32 workers, 8 at once": lambda s: _work(
        s, "batch", 8
    ),
}


def _speeds(urls: dict[str, str], absent: dict[str, str]) -> list[Result]:
    """Three rounds of all works on each side; the fastest of each."""
    best: dict[str, dict[str, float]] = {work: {} for work in SPEEDS}

    async def measure(side: str) -> None:
        store = Store(Database.open(urls[side]))
        for work, function in SPEEDS.items():
            begun = time.perf_counter()
            n = await function(store)
            each = (time.perf_counter() - begun) / n
            best[work][side] = min(each, best[work].get(side, each))
        await store.close()

    for _ in range(3):
        for side in urls:
            with machine_lock():
                asyncio.run(measure(side))
    return [
        Result(work, seconds, {}, absent=absent, notes=("the fastest of three rounds",))
        for work, seconds in best.items()
    ]


def _crashes(urls: dict[str, str], absent: dict[str, str], folder: Path) -> Result:
    seconds: dict[str, float] = {}
    notes: list[str] = []
    for side, url in urls.items():
        with machine_lock():
            each, note = _crash(side, url, folder)
        seconds[side] = each
        notes.append(note)
    work = f"jobs: {UNITS:,} units, two worker processes, {KILLS} of them killed (-9)"
    return Result(work, seconds, {}, absent=absent, notes=tuple(notes))


def _crash(side: str, url: str, folder: Path) -> tuple[float, str]:
    rng = random.Random(7)
    id = accept(url, UNITS, events=("on-job-complete",))
    log = folder / f"{side}.log"
    begun = time.perf_counter()
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(url, id, log, lease_s=LEASE_S, pause_s=PAUSE_S))
        cutting = None
        if side == "PostgreSQL":
            server = url.partition("&descent_schema")[0]
            cutting = stack.enter_context(CutConnections(server, between_s=(0.2, 1.0)))
        workers.start()
        for _ in range(KILLS):
            workers.start()
            workers.kill_when_at_work(rng, within_s=0.5)
        in_time = len(workers.acknowledged()) < UNITS
        workers.finish(timeout_s=240)
        took = time.perf_counter() - begun
        found = outcome(url, id, workers.acknowledged())
    verdict = "each result exactly once" if found.exactly_once else "NOT EXACTLY ONCE"
    note = f"{side}: {verdict} ({found}); the last kill came {'in time' if in_time else 'too late'}"
    if cutting is not None:
        note += f"; {cutting.cut} connections were cut"
    return took / UNITS, note


if __name__ == "__main__":
    for result in run():
        print(result.work)
        for name, each in result.seconds.items():
            print(f"  {name:12} {1e6 * each:9.1f} µs each, {1 / each:9,.0f} a second")
        print(*(f"  - {note}" for note in result.notes), sep="\n")
