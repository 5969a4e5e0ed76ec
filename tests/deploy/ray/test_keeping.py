"""A pool's replicas kept at their number, told by a driver that only pretends; no Ray needed."""

from __future__ import annotations

import asyncio

import pytest

from descent.deploy.asking import ask
from descent.deploy.pool import LoadError
from descent.deploy.pools.ray import keeping
from descent.deploy.pools.ray import pool as pools
from descent.deploy.pools.ray.driving import Address, Driving, RayUnavailable
from descent.deploy.pools.ray.guarding import SECRET_HEADER, Guarded, with_secret
from descent.deploy.pools.ray.pool import RayPool
from descent.deploy.spec.containers import Compute
from tests.deploy.ray.conftest import context


class Pretended(Driving):
    """Hears orders; the test says what becomes of them."""

    def __init__(self, *answers: str) -> None:
        super().__init__(lambda: Address("127.0.0.1:1", host="127.0.0.1"))
        self.address = self._find()
        self.machines = [{"CPU": 2.0, "memory": 2**30}]
        self.answers = list(answers)
        self.orders: list[str] = []
        self.options: list[dict] = []
        self.hear: dict[str, object] = {}

    async def start(self, replica, hear, given, options):
        self.orders.append(f"start {replica.rpartition('.')[2]}")
        self.options.append(options)
        self.hear[replica] = hear
        answer = self.answers.pop(0) if self.answers else "ready"
        asyncio.get_running_loop().call_soon(self.tell, replica, answer)

    def tell(self, replica, what):
        event = {"replica": replica, "event": what, "reason": "no weights", "state": "Killed"}
        ready = {"host": "127.0.0.1", "port": 1, "signature": {"x": 1}}
        placed = {"machine": "m", "pid": 7}
        if what != "silent":
            self.hear[replica](event | {"ready": ready, "placed": placed}.get(what, {}))

    async def stop(self, replica, grace_s):
        self.orders.append(f"stop {replica.rpartition('.')[2]}")


def run(scenario, started, answers=(), replicas=1, **fields):
    async def inside():
        given, driving = started(replicas=replicas, **fields), Pretended(*answers)
        pool = RayPool(given.start, driving)
        try:
            return await scenario(pool, driving, given)
        finally:
            await pool.close(0.0)

    return asyncio.run(inside())


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_ready_one_that_dies_is_started_at_once(started):
    async def scenario(pool, driving, given):
        await pool.begin(5)
        assert pool.signature == {"x": 1}
        driving.tell(pool._replicas[0]._incarnation, "died")
        assert pool.replicas()[0].state == "Killed"
        await until(lambda: pool.replicas()[0].state == "Ready")
        assert driving.orders == ["start 0", "start 1"]
        assert pool.replicas()[0].restarts == 1
        assert "Killed: no weights" in given.lines

    run(scenario, started)


@pytest.mark.parametrize(
    ("end", "expected"),
    [("failed", [1, 2, 4, 8, 16, 32, 60, 60, 60]), ("died", [0.25, 0.5, 1, 2, 4, 4, 4, 4, 4])],
)
def test_one_that_never_gets_ready_is_tried_ever_more_seldom(started, monkeypatch, end, expected):
    waits = []
    real = asyncio.sleep

    async def sleep(seconds):
        if seconds >= 0.1:
            waits.append(seconds)
            seconds = 0
        await real(seconds)

    monkeypatch.setattr(keeping.asyncio, "sleep", sleep)

    async def scenario(pool, driving, given):
        await pool.scale(1)
        await until(lambda: pool.replicas()[0].state == "Ready")

    run(scenario, started, [end] * 9)
    assert waits == expected


def test_the_first_failure_is_the_deploys(started):
    async def scenario(pool, driving, given):
        with pytest.raises(LoadError, match="no weights"):
            await pool.begin(5)

    run(scenario, started, ["failed"])


def test_a_failure_is_not_taken_for_want_of_room(started):
    async def scenario(pool, driving, given):
        with pytest.raises(LoadError, match="no weights"):
            await pool.begin(5)

    run(scenario, started, ["failed", "silent"], replicas=2)


def test_no_room_is_said(started, monkeypatch):
    monkeypatch.setattr(pools, "PLACE_S", 0.05)

    async def scenario(pool, driving, given):
        with pytest.raises(LoadError, match="no room for 1 of 2 replicas"):
            await pool.begin(5)
        assert pool.replicas()[0].reason == "waiting for a machine with room"

    run(scenario, started, ["silent", "placed"], replicas=2)


def test_what_fits_no_machine_is_refused(started):
    async def scenario(pool, driving, given):
        driving.machines = [{"CPU": 0.1}]
        with pytest.raises(RayUnavailable, match=r"no machine of the cluster has 0\.2 CPUs"):
            await pool.begin(5)
        assert driving.orders == []

    run(scenario, started)


def test_asks_for_cortex_compute(started):
    async def scenario(pool, driving, given):
        await pool.begin(5)
        assert driving.options[0]["num_cpus"] == 0.2
        assert driving.options[0]["max_restarts"] == 0

    run(scenario, started)

    async def more(pool, driving, given):
        driving.machines = [{"CPU": 4.0, "GPU": 1.0, "memory": 2**30}]
        await pool.begin(5)
        asked = {"num_cpus": 2.0, "num_gpus": 1, "memory": 2**29}
        assert asked.items() <= driving.options[0].items()

    run(more, started, compute=Compute(cpu=2, gpu=1, mem=2**29))


def test_news_of_an_older_life_is_not_believed(started):
    async def scenario(pool, driving, given):
        await pool.begin(5)
        old = pool._replicas[0]._incarnation
        driving.tell(old, "died")
        await until(lambda: pool.replicas()[0].state == "Ready")
        driving.tell(old, "died")
        assert pool.replicas()[0].state == "Ready"

    run(scenario, started)


def test_one_that_is_leaving_is_not_called_ready(started):
    async def scenario(pool, driving, given):
        await pool.begin(5)
        leaving = pool._replicas[0]
        leaving.in_flight = 1
        await pool.scale(0)
        await until(lambda: pool.replicas()[0].state == "Terminating")
        news = {"event": "news", "memory": 1, "state": "Ready", "reason": ""}
        driving.hear[leaving._incarnation](news | {"replica": leaving._incarnation})
        assert pool.replicas()[0].state == "Terminating"

    run(scenario, started)


def test_nobody_waits_for_the_hopeless(started, monkeypatch):
    monkeypatch.setattr(keeping, "AGAIN_S", 0.0)

    async def scenario(pool, driving, given):
        await pool.scale(1)
        await until(lambda: pool._replicas[0]._failures == 2)
        async with asyncio.timeout(5):
            answer = await ask(pool.app, "/", b"1", context=context(), root_path="/sorter")
        assert answer.status == 503
        assert b"no weights" in answer.body
        assert int(answer.headers["retry-after"]) >= 1

    run(scenario, started, ["failed"] * 9)


def test_one_that_does_not_listen_is_passed_over(started):
    async def scenario(pool, driving, given):
        await pool.begin(5)  # "ready" on a port where nobody listens
        asked = asyncio.ensure_future(
            ask(pool.app, "/", b"1", context=context(), root_path="/sorter")
        )
        await until(lambda: pool.replicas()[0].state == "NotReady")
        news = {"event": "news", "memory": 1, "state": "Ready", "reason": ""}
        kept = pool._replicas[0]
        driving.hear[kept._incarnation](news | {"replica": kept._incarnation})
        assert pool.replicas()[0].state == "Ready", "it lives: its news says so"
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    run(scenario, started)


def test_the_secret_goes_in_and_is_taken_off():
    async def app(scope, receive, send):
        names = b",".join(name for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": names})

    async def scenario():
        guarded = Guarded(app, "right")

        async def asked(secret, headers=()):
            async def through(scope, receive, send):
                inner = scope if secret is None else with_secret(scope, secret)
                await guarded(inner, receive, send)

            return await ask(through, "/", context=context(), headers=headers)

        assert (await asked(None)).status == 403
        assert (await asked("wrong")).status == 403
        assert (await asked(None, {SECRET_HEADER.decode(): "wrong"})).status == 403
        answer = await asked("right", {SECRET_HEADER.decode(): "a client's own", "a": "b"})
        assert (answer.status, answer.body) == (200, b"a,content-length")

    asyncio.run(scenario())


def test_a_folder_that_is_not_here_is_unpacked(started, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'descent-ml[ray]'")
    from descent.deploy.pools.ray.driver import _archive
    from descent.deploy.pools.ray.replica import RayReplica

    async def scenario():
        start = started("Service").start
        given = {
            "spec": start.spec.model_dump(mode="json"), "version": 1, "config": {},
            "folder": "/no/such/folder", "secret": "s", "host": "127.0.0.1",
        }  # fmt: skip
        replica = RayReplica()
        assert (await replica.load(given))["missing"]
        found = await replica.load(given, _archive(tmp_path, "m"))
        assert found["port"] > 0
        await replica.end(1.0)

    asyncio.run(scenario())


def test_a_large_folder_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'descent-ml[ray]'")
    from descent.deploy.pools.ray import driver

    monkeypatch.setattr(driver, "ARCHIVE_BYTES", 100)
    (tmp_path / "weights").write_bytes(b"x" * 101)
    with pytest.raises(ValueError, match="a disk that all machines share"):
        driver._archive(tmp_path, "m")
