"""Worker processes to be killed, connections to be cut, and what must be true afterwards.

Used by bench/jobs.py with 100,000 units and by the tests with a few thousand.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from descent.deploy.jobs.store import Content, Database, NewJob, NewUnit, Store

__all__ = ["Outcome", "Workers", "accept", "outcome", "CutConnections"]

ROOT = Path(__file__).parents[2]
CHUNK = 5000


def accept(url: str, n: int, **fields) -> str:
    """A batch job of `n` units in the store; its id."""

    async def run() -> str:
        store = Store(Database.open(url))
        job = NewJob("api", "BatchAPI", attempts=10_000, **fields)
        id = (await store.submit(job, complete=False)).job.id
        for start in range(0, n, CHUNK):
            units = [NewUnit(Content(str(i).encode())) for i in range(start, min(n, start + CHUNK))]
            await store.add_units(id, units, start=start)
        await store.start_job(id)
        await store.close()
        return id

    return asyncio.run(run())


class Workers:
    """Processes of bench/sides/jobs_worker.py; none is left behind."""

    def __init__(
        self, url: str, job: str, log: Path, *, lease_s: float, pause_s: float = 0.0
    ) -> None:
        options = [url, "api", job, str(log), str(lease_s), str(pause_s)]
        self.command = [sys.executable, "-m", "bench.sides.jobs_worker", *options]
        self.log = log
        self.running: list[subprocess.Popen] = []
        log.touch()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def start(self) -> None:
        """One more."""
        self.running.append(subprocess.Popen(self.command, cwd=ROOT))

    def kill_when_at_work(self, rng: random.Random, within_s: float) -> None:
        """Wait until something is committed, then a moment more, and kill -9 the oldest."""
        before, until = self.log.stat().st_size, time.monotonic() + 5
        while self.log.stat().st_size == before and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, within_s))
        process = self.running.pop(0)
        process.kill()
        process.wait()

    def acknowledged(self) -> list[str]:
        """The commits that the store accepted: "index fence"."""
        return self.log.read_text(encoding="ascii").splitlines()

    def finish(self, timeout_s: float = 60) -> None:
        """Wait for those that are left."""
        for process in self.running:
            code = process.wait(timeout=timeout_s)
            if code:
                raise RuntimeError(f"a worker ended with {code}")


class CutConnections:
    """Ends every connection of the store to PostgreSQL, again and again, while it is entered."""

    def __init__(self, url: str, *, between_s: tuple[float, float] = (0.01, 0.1)) -> None:
        self.url, self.between_s, self.cut = url, between_s, 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> CutConnections:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()

    def _work(self) -> None:
        import psycopg

        rng = random.Random(6)
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.ending.wait(rng.uniform(*self.between_s)):
                ended = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'descent'"
                )
                self.cut += len(ended.fetchall())


@dataclass(frozen=True)
class Outcome:
    """What is in the store at the end, beside what the workers were told."""

    status: str
    units: int
    done: int
    results: int  # units with a result that is of their last lease
    twice: int  # units acknowledged more than once
    unknown: int  # acknowledgements whose result is not the stored one
    told: int  # events of the job's end

    @property
    def exactly_once(self) -> bool:
        """Every unit has one result, the end is told once."""
        whole = self.units == self.done == self.results
        return self.status == "succeeded" and whole and not self.twice + self.unknown


def outcome(url: str, id: str, acknowledged: list[str]) -> Outcome:
    """Read the job and every one of its units."""

    async def run() -> Outcome:
        store = Store(Database.open(url))
        job = await store.job(id)
        assert job is not None
        stored: dict[str, str] = {}
        right, cursor = 0, None
        while True:
            page = await store.units(id, cursor=cursor, limit=CHUNK)
            for unit in page.items:
                stored[str(unit.index)] = mine = f"{unit.index} {unit.fence}"
                right += unit.result is not None and unit.result.data == mine.encode()
            cursor = page.cursor
            if cursor is None:
                break
        told = len((await store.events.list(job=id)).items)
        await store.close()
        times = Counter(line.split()[0] for line in acknowledged)
        twice = sum(n > 1 for n in times.values())
        unknown = sum(stored.get(line.split()[0]) != line for line in acknowledged)
        return Outcome(job.status, job.total, job.done, right, twice, unknown, told)

    return asyncio.run(run())
