"""Each test of the store runs on both databases, under a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from descent.deploy.jobs.store import Content, Database, NewJob, NewUnit, Store
from tests.deploy.postgres import fresh_url


@dataclass
class Clock:
    """Simulated unix seconds."""

    at: float = 1_000_000.0

    def __call__(self) -> float:
        return self.at

    def on(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Bench:
    """A store, its clock, and a loop to run its coroutines in."""

    url: str
    store: Store
    clock: Clock
    runner: asyncio.Runner
    extra: list[Store] = field(default_factory=list)

    def __call__(self, awaitable):
        """Run to its end."""

        async def run():
            return await awaitable

        return self.runner.run(run())

    def another(self, patience_s: float = 5.0) -> Store:
        """A second store on the same database, as another process would have."""
        store = Store(Database.open(self.url, patience_s=patience_s), now=self.clock)
        self.extra.append(store)
        return store

    def submit(self, n: int = 1, kind: str = "BatchAPI", **fields) -> str:
        """A job of `n` units; its id."""
        job = NewJob(api=fields.pop("api", "api"), kind=kind, **fields)
        return self(self.store.submit(job, units(n))).job.id

    def lease(self, n: int = 1, worker: str = "w", lease_s: float = 30.0):
        return self(self.store.lease("api", n, worker=worker, lease_s=lease_s))

    def job(self, id: str):
        found = self(self.store.job(id))
        assert found is not None
        return found


def units(n: int) -> list[NewUnit]:
    return [NewUnit(Content(f"payload {i}".encode(), meta={"n": i})) for i in range(n)]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path) -> str:
    return fresh_url() if request.param == "postgres" else f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def bench(url) -> Iterator[Bench]:
    with opened(url) as made:
        yield made


class opened:
    """A bench on this URL, closed at the end."""

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        self.url = url

    def __enter__(self) -> Bench:
        clock = Clock()
        store = Store(Database.open(self.url, patience_s=10.0), now=clock)
        self.bench = Bench(self.url, store, clock, asyncio.Runner())
        return self.bench

    def __exit__(self, *_: object) -> None:
        for store in [self.bench.store, *self.bench.extra]:
            self.bench(store.close())
        self.bench.runner.close()
