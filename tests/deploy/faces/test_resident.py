"""Several models under a limit: one load each, least use first, never while in use."""

from __future__ import annotations

import asyncio
import functools
import random
from typing import Any

import pytest

from descent.deploy.errors import HttpError
from descent.deploy.pool import Context, LoadError, Replica
from descent.deploy.pools.residing import ResidentPool, start_resident
from descent.deploy.resident import Residents


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting this process's garbage at every unload is most of the time here."""
    monkeypatch.setattr("descent.deploy.resident._give_back", lambda: None)


def in_loop(test: Any) -> Any:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


class Shelf:
    """Models of known sizes; `events` says what was loaded and unloaded."""

    def __init__(self, limit: int | None, **sizes: int) -> None:
        self.residents = Residents(limit, patience_s=0.3)
        self.sizes = sizes
        self.events: list[str] = []
        self.here: set[str] = set()
        self.fail = False

    def use(self, key: str, idle_s: float | None = None) -> Any:
        async def load() -> str:
            await asyncio.sleep(0.001)
            if self.fail:
                raise LoadError("broken")
            self.events.append(f"+{key}")
            self.here.add(key)
            return key.upper()

        async def unload(value: str) -> None:
            assert value == key.upper()
            self.here.discard(key)
            self.events.append(f"-{key}")
            await asyncio.sleep(0)

        size = self.sizes[key]
        return self.residents.use(key, load, unload, size=lambda _: size, idle_s=idle_s)

    async def ask(self, key: str, hold_s: float = 0.0) -> str:
        async with self.use(key) as value:
            assert key in self.here
            await asyncio.sleep(hold_s)
            assert key in self.here, "unloaded while in use"
            return value


@in_loop
async def test_the_least_used_goes_first() -> None:
    shelf = Shelf(100, a=40, b=40, c=40)
    for key in "abacb":
        assert await shelf.ask(key) == key.upper()
    assert shelf.events == ["+a", "+b", "+c", "-b", "-a", "+b"]
    assert shelf.residents.bytes == 80
    assert [r["key"] for r in shelf.residents.status()] == ["a", "c", "b"]


@in_loop
async def test_many_first_requests_load_once() -> None:
    shelf = Shelf(None, a=1)
    assert set(await asyncio.gather(*(shelf.ask("a") for _ in range(50)))) == {"A"}
    assert shelf.events == ["+a"]


@in_loop
async def test_none_in_use_is_unloaded_and_waiting_is_bounded() -> None:
    shelf = Shelf(100, a=60, b=60)
    await shelf.ask("b")  # its size is known from now on
    async with shelf.use("a"):
        assert shelf.events == ["+b", "+a", "-b"]
        with pytest.raises(HttpError, match="other models use the 100 bytes") as error:
            await shelf.ask("b")
        assert (error.value.status, error.value.code) == (503, "memory_full")
        waiting = asyncio.create_task(shelf.ask("b"))
        await asyncio.sleep(0.01)
        assert shelf.here == {"a"}
    assert await waiting == "B"  # as soon as the lease had ended
    assert shelf.here == {"b"}


@in_loop
async def test_what_was_over_while_in_use_goes_afterwards() -> None:
    shelf = Shelf(100, a=60, b=60)
    async with shelf.use("a"):
        async with shelf.use("b"):  # of unknown size: loaded, measured, over
            assert shelf.here == {"a", "b"}
    await asyncio.sleep(0.05)
    assert shelf.here == {"a"} or shelf.here == {"b"}
    assert shelf.residents.bytes == 60


@in_loop
async def test_larger_than_the_limit_alone() -> None:
    shelf = Shelf(100, a=60, big=2_000_000_000)
    await shelf.ask("a")
    with pytest.raises(LoadError, match="it needs 2 GB; this node has 100 bytes"):
        await shelf.ask("big")
    assert "big" not in shelf.here
    assert await shelf.ask("a") == "A"


@in_loop
async def test_a_failed_load_is_tried_again() -> None:
    shelf = Shelf(100, a=60)
    shelf.fail = True
    results = await asyncio.gather(*(shelf.ask("a") for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in results] == ["broken"] * 3
    assert shelf.residents.status()[0]["in_use"] == 0
    shelf.fail = False
    assert await shelf.ask("a") == "A"


@in_loop
async def test_a_client_that_leaves_ends_its_waiting_not_the_load() -> None:
    shelf = Shelf(100, a=60)
    leaving = asyncio.create_task(shelf.ask("a"))
    staying = asyncio.create_task(shelf.ask("a"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "A"
    assert shelf.residents.status()[0]["in_use"] == 0
    assert shelf.events == ["+a"]


@in_loop
async def test_idle_ones_are_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("descent.deploy.resident.LOOK_S", 0.01)
    shelf = Shelf(None, a=1, b=1)
    async with shelf.use("a", idle_s=0.02):
        await shelf.ask("b")
        await asyncio.sleep(0.1)
        assert shelf.here == {"a", "b"}
    while shelf.here != {"b"}:  # in_loop bounds it
        await asyncio.sleep(0.01)
    await shelf.residents.close()
    assert shelf.here == set()


@in_loop
async def test_without_a_size_the_growth_of_the_process_is_taken() -> None:
    grown = iter([100, 150, 500, 500])
    residents = Residents(1000, growth=lambda: next(grown))

    async def load() -> int:
        return 1

    async with residents.use("a", load):
        assert residents.bytes == 50
    async with residents.use("b", load):
        assert residents.bytes == 50  # grew by nothing: shared pages


class Process:
    """Resident bytes as a process has them: libraries stay when a model goes."""

    def __init__(self, libraries: int, model: int) -> None:
        self.libraries, self.model = libraries, model
        self.bytes = 0

    async def load(self) -> int:
        self.bytes += self.model + self.libraries
        self.libraries = 0
        return 1

    async def unload(self, _: int) -> None:
        self.bytes -= self.model


@in_loop
async def test_libraries_that_came_with_the_first_model_are_not_its_own() -> None:
    process = Process(libraries=150, model=30)
    residents = Residents(100, growth=lambda: process.bytes)
    async with residents.use("a", process.load, process.unload):
        assert residents.bytes == 30
    assert residents.status()[0]["loads"] == 2
    process = Process(libraries=150, model=130)
    residents = Residents(100, growth=lambda: process.bytes)
    with pytest.raises(LoadError, match="it needs 130 bytes"):
        async with residents.use("a", process.load, process.unload):
            pass
    process = Process(libraries=50, model=30)
    residents = Residents(100, growth=lambda: process.bytes)
    async with residents.use("a", process.load, process.unload):
        assert residents.bytes == 80
    async with residents.use("b", process.load, process.unload):
        assert residents.bytes == 30  # a, the larger one as was thought, had to go
    assert {r["key"]: r["bytes"] for r in residents.status()} == {"a": 30, "b": 30}


@pytest.mark.parametrize("seed", range(6))
@in_loop
async def test_random_walks_keep_the_promises(seed: int) -> None:
    random_ = random.Random(seed)
    shelf = Shelf(100, a=30, b=40, c=50, d=90)
    shelf.residents.patience_s = 20
    for key in shelf.sizes:
        await shelf.ask(key)  # sizes are known: from here on the limit is never exceeded
    most = 0

    async def client() -> None:
        nonlocal most
        for _ in range(25):
            key = random_.choice("aabbccd")
            task = asyncio.create_task(shelf.ask(key, random_.choice([0, 0, 0.001, 0.003])))
            if random_.random() < 0.1:
                await asyncio.sleep(0.001)
                task.cancel()
            await asyncio.wait({task})
            most = max(most, sum(shelf.sizes[here] for here in shelf.here))
            if not task.cancelled():
                assert task.result() == key.upper()

    await asyncio.gather(*(client() for _ in range(8)))
    assert 0 < most <= 100
    assert all(r["in_use"] == 0 for r in shelf.residents.status())
    plus, minus = (sum(e[0] == sign for e in shelf.events) for sign in "+-")
    assert plus - minus == len(shelf.here)


class FakePool:
    """What a backend starts: loaded, of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.replica = Replica("r", "Ready", memory_bytes=size)
        self.signature = {"input": {}}
        self.scaled: list[int] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.replica.state == "Ready"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def replicas(self) -> list[Replica]:
        return [self.replica]

    async def scale(self, replicas: int) -> None:
        self.scaled.append(replicas)
        self.replica.state = "Ready" if replicas else "Pending"
        self.replica.memory_bytes = self.size if replicas else None

    async def close(self, grace_s: float) -> None:
        self.replica.state = "Terminating"


@in_loop
async def test_pools_are_loaded_while_they_are_asked() -> None:
    from descent.deploy.asking import ask

    residents = Residents(100)
    pools = [FakePool(60), FakePool(60)]

    async def start(pool: FakePool) -> Any:
        return pool

    first = await start_resident(residents, "one", lambda: start(pools[0]))
    second = await start_resident(residents, "two", lambda: start(pools[1]))
    assert [p.replica.state for p in pools] == ["Pending", "Ready"]
    assert first.replicas()[0].state == "Ready"
    assert "a request loads it" in first.replicas()[0].reason
    answer = await ask(first.app, "/", context=Context("x"))
    assert answer.body == b"ok"
    assert [p.replica.state for p in pools] == ["Ready", "Pending"]
    with pytest.raises(LoadError, match="it needs 200 bytes"):
        await start_resident(residents, "three", lambda: start(FakePool(200)))
    assert [r["key"] for r in residents.status()] == ["two", "one"]
    await second.close(1.0)
    await first.close(1.0)
    assert residents.status() == []
    assert isinstance(first, ResidentPool)
