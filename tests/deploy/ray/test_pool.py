"""Pools on a real Ray of this machine: answers, streams, deaths, scaling, a lost cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import pytest

from descent.deploy.asking import ask
from descent.deploy.pool import LoadError
from descent.deploy.pools.command_client import Client
from descent.deploy.pools.command_proxy import Proxy
from descent.deploy.pools.ray import Address, RayBackend
from tests.deploy.ray.conftest import context, kill


async def send(pool, value, **fields):
    answer = await ask(
        pool.app, "/", json.dumps(value).encode(), context=context(**fields), root_path="/sorter"
    )
    said = json.loads(answer.body) if answer.body else None
    return answer.status, said, answer.headers


async def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def pool_of(cluster, given):
    backend = RayBackend(cluster.address)
    try:
        yield await backend.start(given.start)
    finally:
        await backend.close()


def states(pool):
    return sorted(replica.state for replica in pool.replicas())


def test_answers_streams_and_tells(cluster, started):
    async def run():
        given = started("Service", replicas=2)
        async with pool_of(cluster, given) as pool:
            assert states(pool) == ["Ready", "Ready"]
            assert pool.signature is not None
            assert (await send(pool, {"a": [1, 2]}))[:2] == (200, {"a": [1, 2]})
            pids = {(await send(pool, "pid"))[1] for _ in range(10)}
            assert len(pids) == 2, "the least loaded in turn"
            await until(lambda: any("loaded in process" in line for line in given.lines))
            await until(lambda: all(r.memory_bytes for r in pool.replicas()))
            await pool.close(5)
            assert pool.replicas() == []

    asyncio.run(run())


def test_stream_of_ten_thousand(cluster, started):
    async def run():
        async with pool_of(cluster, started("Stream")) as pool:
            answer = await ask(
                pool.app, "/", b"10000", context=context(), root_path="/sorter",
                headers={"content-type": "application/json"},
            )  # fmt: skip
            lines = [line for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
            assert [json.loads(line[6:])["n"] for line in lines] == list(range(10000))

    asyncio.run(run())


def test_what_cannot_load_says_why(cluster, started):
    async def run():
        with pytest.raises(LoadError, match="the weights are missing"):
            async with pool_of(cluster, started("Service", broken=True)):
                pass
        with pytest.raises(LoadError, match="Missing"):
            async with pool_of(cluster, started("Missing")):
                pass

    asyncio.run(run())


def test_death_is_answered_and_mended(cluster, started):
    async def run():
        given = started("Service", replicas=2)
        async with pool_of(cluster, given) as pool:
            status, said, headers = await send(pool, "die")
            assert status == 502
            assert said["error"]["code"] == "upstream_failed"
            assert int(headers["retry-after"]) >= 1
            for _ in range(20):  # the other one answers
                assert (await send(pool, 1))[0] == 200
            await until(lambda: states(pool) == ["Ready", "Ready"])
            assert sorted(replica.restarts for replica in pool.replicas()) == [0, 1]
            assert any("Killed: its process ended unexpectedly" in line for line in given.lines)

    asyncio.run(run())


def test_requests_wait_for_the_only_replica(cluster, started):
    async def run():
        async with pool_of(cluster, started("Service")) as pool:
            pid = (await send(pool, "pid"))[1]
            kill(pid)
            await until(lambda: states(pool) != ["Ready"])
            assert (await send(pool, 7))[:2] == (200, 7)
            assert (await send(pool, "pid"))[1] != pid

    asyncio.run(run())


def test_cancelled_work_ends(cluster, started, tmp_path):
    async def run():
        async with pool_of(cluster, started("Service")) as pool:
            file = tmp_path / "ended"
            task = asyncio.ensure_future(send(pool, {"sleep": 60, "file": str(file)}))
            await until(lambda: pool.replicas()[0].in_flight == 1)
            await asyncio.sleep(0.2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(file.exists)
            assert pool.replicas()[0].in_flight == 0

    asyncio.run(run())


def test_scales_up_down_and_to_zero(cluster, started):
    async def run():
        async with pool_of(cluster, started("Service")) as pool:
            first = (await send(pool, "pid"))[1]
            await pool.scale(3)
            await pool.scale(2)  # of three, one that does not answer yet
            await until(lambda: states(pool) == ["Ready", "Ready"])
            assert first in {(await send(pool, "pid"))[1] for _ in range(4)}
            slow = asyncio.ensure_future(send(pool, {"sleep": 1.0, "file": "unused"}))
            await until(lambda: any(r.in_flight for r in pool.replicas()))
            await pool.scale(0)
            assert (await slow)[0] == 200, "what is under way finishes"
            await until(lambda: pool.replicas() == [])
            status, said, _ = await send(pool, 1)
            assert (status, said["error"]["code"]) == (503, "not_ready")
            await pool.scale(1)
            assert (await send(pool, 1))[0] == 200, "waits for the one that is asked for"

    asyncio.run(run())


def test_strangers_are_refused(cluster, started):
    async def run():
        async with pool_of(cluster, started("Service")) as pool:
            address = pool._replicas[0].client._address
            stranger = Proxy("x", [_Stranger(address)], plain=False)
            answer = await ask(stranger, "/", b"1", context=context(), root_path="/sorter")
            assert (answer.status, answer.body) == (403, b"")

    asyncio.run(run())


class _Stranger:
    ready, reason, in_flight = True, "", 0

    def __init__(self, address):
        self.client = Client(address)

    def back_in_s(self):
        return None


def test_no_cluster_is_a_load_error(started, tmp_path):
    async def run():
        backend = RayBackend(lambda: None)
        with pytest.raises(LoadError, match="`descent cluster up` starts one"):
            await backend.start(started().start)
        await backend.close()

    asyncio.run(run())


def test_lost_cluster_costs_no_node(cluster, started):
    """The driver's end, as Ray's abort of it, is survived; replicas come back by themselves."""

    async def run():
        given = started("Service")
        async with pool_of(cluster, given) as pool:
            before = (await send(pool, "pid"))[1]
            kill(pool._driving._process.pid)
            await until(lambda: any("the Ray cluster is gone" in line for line in given.lines))
            await until(lambda: states(pool) == ["Ready"])
            assert (await send(pool, "pid"))[1] != before

    asyncio.run(run())


def test_a_cluster_that_is_ended_and_begun_again(cluster, started):
    """The node lives, says 503, and goes on with the new cluster."""

    async def run():
        async with pool_of(cluster, started("Service")) as pool:
            await asyncio.to_thread(cluster.down)
            await until(lambda: states(pool) != ["Ready"])
            await until(lambda: pool._replicas[0].hopeless, seconds=60)
            status, said, _ = await send(pool, 1)
            assert status == 503
            assert "no Ray cluster" in said["error"]["message"]
            await asyncio.to_thread(cluster.up)
            await until(lambda: states(pool) == ["Ready"], seconds=60)
            assert (await send(pool, 2))[:2] == (200, 2)

    asyncio.run(run())


def test_wrong_address_says_so(cluster, started):
    async def run():
        backend = RayBackend(lambda: Address("127.0.0.1:1", cluster.token_file))
        with pytest.raises(LoadError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
            await backend.start(started().start)
        await backend.close()

    asyncio.run(run())
