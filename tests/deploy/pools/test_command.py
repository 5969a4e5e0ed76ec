"""The "command" backend with real processes: requests, readiness, death, replicas, the end.

On uvloop, as the node runs it; the child's and Docker's tests run on asyncio's own loop.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

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
    running,
    said,
    until,
)


def pid_of(pool, n=0):
    return pool._replicas[n].containers[0].process.pid


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


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"command": ["no-such-program"]}, "'no-such-program' cannot be started: no such command"),
        ({"command": ["./run.sh"]}, "'./run.sh' cannot be started: no such program"),
        ({"command": ["sh", "-c", "echo why it failed; exit 3"], "args": None},
         r"it ended with code 3; its last lines:\n    why it failed"),
        ({"command": ["sh", "-c", "kill -9 $$"], "args": None}, "it was ended by SIGKILL; it wrote nothing"),
    ],
)  # fmt: skip
def test_one_that_cannot_start_is_a_load_error(tmp_path, fields, expected):
    async def main():
        async with running(command_spec({**container(), **fields}), tmp_path):
            pass

    with pytest.raises(LoadError, match=expected) as caught:
        uvloop.run(main())
    assert "'echo' cannot start: container 'web'" in str(caught.value)


def test_one_that_never_gets_ready_is_a_load_error_and_is_ended(tmp_path):
    async def main(spec):
        log = Log()
        with pytest.raises(LoadError) as caught:
            async with running(spec, tmp_path, log, limit_s=1.0):
                pass
        return str(caught.value), log

    hard_coded = command_spec({"name": "web", "command": ["sh", "-c", "echo $$; exec sleep 60"]})
    message, log = uvloop.run(main(hard_coded))
    assert "not ready within 1 s" in message
    assert "a command takes its port from $CORTEX_PORT" in message
    assert not alive(int(log.lines[0]))
    probe = {"http_get": {"port": 8080, "path": "/nowhere-good"}, "period_seconds": 1}
    sick = command_spec(
        container(
            env={"SICK": str(tmp_path)},
            readiness_probe={**probe, "http_get": {"port": 8080, "path": "/health"}},
        )
    )
    message, _ = uvloop.run(main(sick))
    assert "readiness probe: GET /health answered 500" in message


def test_the_end_ends_everything_it_has_started(tmp_path):
    async def main():
        log = Log()
        script = "sleep 100 & echo beside $!; exec " + " ".join(
            [sys.executable, "-S", *SERVER_WORDS]
        )
        spec = command_spec({"name": "web", "command": ["sh", "-c", script]})
        async with running(spec, tmp_path, log) as pool:
            await log.wait_for("beside")
            beside = int(next(line for line in log.lines if "beside" in line).split()[1])
            pid = pid_of(pool)
            assert alive(pid)
            assert alive(beside)
        await until(lambda: not alive(pid) and not alive(beside))

    uvloop.run(main())


SERVER_WORDS = container()["command"][2:]


def test_one_that_ignores_sigterm_is_killed_after_the_grace(tmp_path):
    async def main():
        async with running(command_spec(container("--deaf")), tmp_path) as pool:
            pid = pid_of(pool)
            began = asyncio.get_running_loop().time()
            await pool.close(0.3)
            assert 0.3 <= asyncio.get_running_loop().time() - began < 5
            assert not alive(pid)
            assert (await call(pool)).status == 503

    uvloop.run(main())


def test_who_has_less_patience_may_end_what_is_being_ended(tmp_path):
    async def main():
        async with running(command_spec(container("--deaf")), tmp_path) as pool:
            pid = pid_of(pool)
            await pool.scale(0)
            await asyncio.sleep(0.1)
            assert alive(pid)  # it has a minute
            assert [one.state for one in pool.replicas()] == ["Terminating"]
            await pool.close(0.2)
            assert not alive(pid)

    uvloop.run(main())


def test_pre_stop_comes_first(tmp_path):
    async def main():
        log = Log()
        flag = tmp_path / "flag"
        hook = {"exec": {"command": ["sh", "-c", f"echo $CORTEX_PORT > {flag}"]}}
        async with running(command_spec(container(pre_stop=hook)), tmp_path, log) as pool:
            port = pool._replicas[0].address[1]
        assert flag.read_text().strip() == str(port)
        hook = {"http_get": {"port": 8080, "path": "/nonsense"}}
        async with running(command_spec(container(pre_stop=hook)), tmp_path, log):
            pass
        assert "pre_stop: GET /nonsense: no HTTP answer" in log.lines

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


def test_a_group_is_swept_once_for_its_number_may_be_anothers_later(monkeypatch):
    swept = []

    async def main():
        env = dict(os.environ)
        process = await command_process.Process.start(["true"], print, env=env)
        await process.ended()
        monkeypatch.setattr(os, "killpg", lambda *said: swept.append(said))
        assert [await process.wait(), await process.wait()] == [0, 0]
        assert swept == [(process.pid, signal.SIGKILL)]

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


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv --pdeathsig is Linux'")
def test_processes_die_with_the_node(tmp_path):
    script = f"""
import asyncio, sys, uvloop
sys.path.insert(0, {os.getcwd()!r})
from tests.deploy.pools.commands import *
async def main():
    async with running(command_spec(), {str(tmp_path)!r}) as pool:
        print(pool._replicas[0].containers[0].process.pid, flush=True)
        await asyncio.sleep(60)
uvloop.run(main())
"""
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        pid = int(node.stdout.readline())
        assert alive(pid)
    finally:
        node.kill()
        node.wait()
        node.stdout.close()
    uvloop.run(until(lambda: not alive(pid)))
