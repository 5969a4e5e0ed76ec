"""The "command" backend with real processes: requests, readiness, death, replicas.

On uvloop, as the node runs it; the child's and Docker's tests run on asyncio's own loop.
"""

import asyncio
import contextlib
import os
import signal

import pytest
import uvloop

from descent.deploy.pool import LoadError
from descent.deploy.pools import command, command_container, command_process
from descent.deploy.pools.command_client import UpstreamError
from tests.deploy.pools.commands import (
    Log,
    alive,
    call,
    command_spec,
    container,
    pid_of,
    running,
    said,
    until,
)


def test_a_request_reaches_the_process_and_comes_back(tmp_path):
    async def main():
        log = Log()
        spec = command_spec(container("$(CORTEX_PORT)", env={"MY_NAME": "$(CORTEX_PORT)"}))
        async with running(spec, tmp_path, log) as pool:
            answer = await call(
                pool, "/a/b", b"hello", query="x=1&y=%20",
                headers=[("x-own", "1"), ("host", "api.example.com"), ("connection", "x-hop, close"),
                         ("x-hop", "no"), ("x-forwarded-for", "10.0.0.1"), ("x-request-id", "forged")],
            )  # fmt: skip
            got = said(answer)
            assert answer.status == 200
            assert (got["method"], got["path"], got["body"]) == ("POST", "/a/b?x=1&y=%20", "hello")
            headers = got["headers"]
            assert headers["host"] == "api.example.com"
            assert headers["x-request-id"] == "req-1"
            assert headers["x-own"] == "1"
            assert headers["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
            assert headers["x-forwarded-prefix"] == "/echo-api"
            assert "connection" not in headers
            assert got["env"]["CORTEX_PORT"] == str(pool._replicas[0].address[1])
            assert got["env"]["MY_NAME"] == "$(CORTEX_PORT)"  # only command and args are expanded
            assert "server" not in answer.headers
            assert answer.headers["content-type"] == "application/json"
            (replica,) = pool.replicas()
            assert (replica.state, replica.reason, replica.restarts) == ("Ready", "", 0)
            assert replica.memory_bytes > 1 << 20
            pid = pid_of(pool)
        assert not alive(pid)
        assert any("serving on" in line for line in log.lines)
        assert log.fields[0]["container"] == "web"
        assert log.fields[0]["replica"].startswith("echo-1-")

    uvloop.run(main())


def test_every_kind_of_answer(tmp_path):
    async def main():
        async with running(command_spec(), tmp_path) as pool:
            head = await call(pool, "/echo", method="HEAD")
            assert (head.status, head.body) == (200, b"")
            assert int(head.headers["content-length"]) > 0
            assert (await call(pool, "/nothing", method="GET")).status == 204
            assert (await call(pool, "/open-ended", method="GET")).body == b"until the end"
            assert said(await call(pool, "/early", method="GET")) == "late"
            stream = await call(pool, "/stream", method="GET", query="n=1000")
            assert stream.body == b"".join(b"%d\n" % n for n in range(1000))
            assert "transfer-encoding" not in stream.headers
            big = os.urandom(3_000_000)
            assert said(await call(pool, "/count", big)) == len(big)
            many = await call(pool, "/stream", method="GET", query="n=30&times=100000")
            assert len(many.body) == sum(len(str(n)) + 1 for n in range(30)) * 100000
            for way in ("/half", "/nonsense"):
                answer = await call(pool, way)
                assert (answer.status, said(answer)["error"]["code"]) == (502, "upstream_failed")
                assert answer.headers["retry-after"] == "1"
            assert pool.replicas()[0].in_flight == 0

    uvloop.run(main())


def test_bodies_stream_both_ways(tmp_path):
    async def main():
        async with running(command_spec(), tmp_path) as pool:
            sent = []

            async def receive():
                sent.append(1)
                return {"type": "http.request", "body": b"x" * 70_000, "more_body": len(sent) < 50}

            got = []

            async def send(message):
                got.append(message)

            scope = {"type": "http", "method": "POST", "path": "/count", "headers": []}
            await pool.app(scope, receive, send)
            assert got[0]["status"] == 200
            assert got[1]["body"] == b"3500000"
            scope["headers"] = [(b"content-length", b"3500000")]
            sent.clear()
            got.clear()
            await pool.app(scope, receive, send)
            assert got[1]["body"] == b"3500000"

            first = asyncio.Event()

            async def slow_send(message):
                got.append(message)
                if message.get("body"):
                    first.set()

            got.clear()
            scope = {**scope, "method": "GET", "path": "/stream", "headers": []}
            scope["query_string"] = b"n=3&wait=0.3"
            asked = asyncio.ensure_future(pool.app(scope, one_empty, slow_send))
            await asyncio.wait_for(first.wait(), 5)
            assert not asked.done()  # the first piece came before the last was made
            await asked
            assert not got[-1]["more_body"]

    uvloop.run(main())


async def one_empty():
    return {"type": "http.request", "body": b"", "more_body": False}


def test_a_client_that_goes_closes_the_way_to_the_process(tmp_path):
    async def main():
        log = Log()
        async with running(command_spec(), tmp_path, log) as pool:
            asked = asyncio.ensure_future(
                call(pool, "/stream", method="GET", query="n=1000&wait=0.01")
            )
            await until(lambda: pool.replicas()[0].in_flight == 1)
            await asyncio.sleep(0.1)
            asked.cancel()
            await log.wait_for("the client has gone")
            assert pool.replicas()[0].in_flight == 0

            async def receive():
                return parts.pop(0)

            parts = [{"type": "http.request", "body": b"x", "more_body": True}]
            parts.append({"type": "http.disconnect"})
            scope = {"type": "http", "method": "POST", "path": "/count", "headers": []}
            await pool.app(scope, receive, never)
            assert (await call(pool)).status == 200

    uvloop.run(main())


async def never(message):
    raise AssertionError(f"nobody is there to be told {message}")


def test_one_that_dies_is_restarted_and_is_not_asked_meanwhile(tmp_path, monkeypatch):
    async def main():
        log = Log()
        async with running(command_spec(), tmp_path, log) as pool:
            before = pid_of(pool)
            answer = await call(pool, "/die")
            assert (answer.status, said(answer)["error"]["code"]) == (502, "upstream_failed")
            await until(lambda: pool.replicas()[0].state == "Failed")
            assert (await call(pool)).status == 200  # it waited for the restart
            assert any("it ended with code 7" in line for line in log.lines)
            assert pool.replicas()[0].state == "Ready"
            assert pool.replicas()[0].restarts == 1
            assert pid_of(pool) != before
            assert (await call(pool)).status == 200
            answer = await call(pool, "/kill")
            await until(lambda: pool.replicas()[0].state == "Killed")
            assert pool.replicas()[0].reason == "it was ended by SIGKILL"
            monkeypatch.setattr(command, "PATIENCE_S", 0.0)
            answer = await call(pool)
            assert answer.status == 503
            assert said(answer)["error"]["code"] == "not_ready"
            assert "it was ended by SIGKILL" in said(answer)["error"]["message"]
            assert int(answer.headers["retry-after"]) >= 1

    uvloop.run(main())


def test_kills_cost_only_what_they_interrupt(tmp_path):
    async def main():
        spec = command_spec(autoscaling={"min_replicas": 2}, pod={"max_concurrency": 4})
        async with running(spec, tmp_path) as pool:
            answers, broken = [], []

            async def ask(n):
                for _ in range(40):
                    try:
                        answers.append(await call(pool, "/slow", b"x", query="s=0.003"))
                    except UpstreamError:  # its answer had begun
                        broken.append(n)

            asking = asyncio.gather(*(ask(n) for n in range(8)))
            killed = 0
            while not asking.done():
                await asyncio.sleep(0.15)
                ready = [one for one in pool._replicas if one.ready]
                if ready and killed < 3:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(ready[0].containers[0].process.pid, signal.SIGKILL)
                        killed += 1
            await asking
            assert killed >= 2
            codes = [answer.status for answer in answers]
            assert len(codes) + len(broken) == 320
            assert (
                codes.count(502) + len(broken) <= killed * 8
            )  # what was under way, or came as they died
            assert [said(one) for one in answers if one.status == 503] == []
            assert set(codes) <= {200, 502}
            assert all("retry-after" in one.headers for one in answers if one.status == 502)

    uvloop.run(main())


def test_several_replicas_share_the_work_and_scale(tmp_path):
    async def main():
        spec = command_spec(autoscaling={"min_replicas": 2}, pod={"max_concurrency": 3})
        async with running(spec, tmp_path) as pool:
            answers = await asyncio.gather(
                *(call(pool, "/slow", method="GET", query="s=0.2") for _ in range(6))
            )
            by = [answer.headers["x-served-by"] for answer in answers]
            assert sorted(by.count(pid) for pid in set(by)) == [3, 3]
            first, second = pool._replicas
            first.ready = False  # the gateway still admits six
            slow = [call(pool, "/slow", method="GET", query="s=0.2") for _ in range(6)]
            busy = [asyncio.ensure_future(one) for one in slow]
            await asyncio.sleep(0.1)
            assert second.in_flight == 3
            assert [(await one).status for one in busy] == [200] * 6
            first.ready = True
            await pool.scale(3)
            assert len(pool.replicas()) == 3
            await until(lambda: [one.state for one in pool.replicas()] == ["Ready"] * 3)
            await pool.scale(4)
            starting = pool._replicas[3]
            await pool.scale(3)
            assert starting not in pool._replicas
            slow = [call(pool, "/slow", method="GET", query="s=0.5") for _ in range(3)]
            busy = [asyncio.ensure_future(one) for one in slow]
            await until(lambda: sum(one.in_flight for one in pool.replicas()) == 3)
            await pool.scale(1)
            assert [one.state for one in pool.replicas()].count("Terminating") >= 2
            assert [(await one).status for one in busy] == [200] * 3  # none was cut off
            await until(lambda: len(pool.replicas()) == 1)
            await pool.scale(0)
            assert (await call(pool)).status == 503
            await until(lambda: pool.replicas() == [])
            await pool.scale(1)
            await until(lambda: [one.state for one in pool.replicas()] == ["Ready"])
            assert (await call(pool)).status == 200

    uvloop.run(main())


def test_containers_run_beside_one_another(tmp_path):
    async def main():
        log = Log()
        beside = {
            "name": "beside",
            "command": ["sh", "-c", f"sleep 0.3; touch {tmp_path}/up; exec sleep 100"],
            "readiness_probe": {"exec": {"command": ["test", "-e", f"{tmp_path}/up"]}},
        }
        async with running(command_spec(beside, container()), tmp_path, log) as pool:
            assert (tmp_path / "up").exists()
            assert (await call(pool)).status == 200
            os.kill(pid_of(pool), signal.SIGKILL)  # one of them dies: the replica isn't ready
            await until(lambda: pool.replicas()[0].state == "Killed")
            await until(lambda: pool.replicas()[0].state == "Ready")

    uvloop.run(main())


def test_liveness_restarts_and_readiness_only_takes_away_requests(tmp_path):
    async def main():
        sick = tmp_path / "sick"
        env = {"SICK": str(sick)}
        way = {"http_get": {"port": 8080, "path": "/health"}, "period_seconds": 1}
        ready = command_spec(container(env=env, readiness_probe={**way, "failure_threshold": 1}))
        async with running(ready, tmp_path) as pool:
            sick.touch()
            await until(lambda: pool.replicas()[0].state == "NotReady")
            assert "GET /health answered 500" in pool.replicas()[0].reason
            assert (await call(pool)).status == 503
            sick.unlink()
            await until(lambda: pool.replicas()[0].state == "Ready")
            assert pool.replicas()[0].restarts == 0
        log = Log()
        living = command_spec(container(env=env, liveness_probe={**way, "failure_threshold": 1}))
        async with running(living, tmp_path, log) as pool:
            before = pid_of(pool)
            await asyncio.sleep(0.5)  # it counts from its first good answer
            sick.touch()
            await log.wait_for("restarted: liveness probe: GET /health answered 500")
            sick.unlink()
            await until(lambda: pool.replicas()[0].state == "Ready")
            assert pool.replicas()[0].restarts == 1
            assert pid_of(pool) != before

    uvloop.run(main())


def test_warm_up(tmp_path):
    async def main():
        async with running(command_spec(warm_up=[{"x": 1}]), tmp_path) as pool:
            assert (await call(pool)).status == 200
        with pytest.raises(LoadError, match='warm-up with "refuse" answered 422'):
            async with running(command_spec(warm_up=[1, "refuse"]), tmp_path):
                pass

    uvloop.run(main())


def test_none_is_started_when_none_is_wanted(tmp_path):
    async def main():
        async with running(command_spec(autoscaling={"min_replicas": 0}), tmp_path) as pool:
            assert pool.replicas() == []
            assert said(await call(pool))["error"]["message"] == "no replica of 'echo' is ready"

    uvloop.run(main())


def test_a_kill_for_want_of_memory_is_told(tmp_path, monkeypatch):
    kills = [5]  # the kernel's count
    monkeypatch.setattr(command_process, "_oom_kills", lambda: kills[0])

    async def main():
        async with running(command_spec(), tmp_path) as pool:
            for state, reason in (("Killed", "SIGKILL"), ("KilledOOM", "for want of memory")):
                os.kill(pid_of(pool), signal.SIGKILL)
                await until(lambda state=state: pool.replicas()[0].state == state)
                assert reason in pool.replicas()[0].reason
                await until(lambda: pool.replicas()[0].state == "Ready")
                kills[0] += 1

    monkeypatch.setattr(command_container, "FIRST_WAIT_S", 0.1)
    uvloop.run(main())
