"""Our own services in a process of their own: the same answers, and a crash costs only the child."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from descent.deploy.pool import LoadError, Start
from descent.deploy.pools import child
from descent.deploy.pools.local import LocalBackend
from descent.deploy.spec import make_spec
from tests.deploy.pools.commands import Log, alive, call, running, said, until

FOLDER = Path(__file__).with_name("programs")


def service_spec(name, **fields):
    return make_spec(
        {
            "name": "echo-api",
            "kind": "RealtimeAPI",
            "service": f"services.py:{name}",
            "backend": "command",
            **fields,
        }
    )


@contextlib.asynccontextmanager
async def isolated(spec, log=None):
    async with running(spec, FOLDER, log, limit_s=30) as pool:
        yield pool


def pid_of(pool):
    return pool._replicas[0].containers[0].process.pid


def test_a_service_answers_as_it_does_in_this_process():
    async def main():
        log = Log()
        spec = service_spec("Adder", config={"step": 5})
        async with isolated(spec, log) as pool:
            answer = await call(
                pool, "/", b'{"x": 1}', headers=[("content-type", "application/json")]
            )
            assert said(answer)["y"] == 6
            assert said(answer)["pid"] == pid_of(pool)
            backend = LocalBackend()
            here = await backend.start(Start(spec, 1, FOLDER, Log()))
            try:
                assert pool.signature == here.signature
                for path, body in (("/", b'{"x": '), ("/nowhere", b"1")):
                    there, local = await call(pool, path, body), await call(here, path, body)
                    assert (there.status, said(there)) == (local.status, said(local))
            finally:
                await backend.close()
            assert "loading the adder" in log.lines
            socket = Path(pool._replicas[0].address)
            assert socket.exists()
            assert socket.parent.stat().st_mode & 0o77 == 0
        assert not socket.parent.exists()

    asyncio.run(main())


def test_streams_and_clients_that_go():
    async def main():
        async with isolated(service_spec("Streaming")) as pool:
            answer = await call(pool, "/", b"3")
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.body.count(b"data: ") >= 3
            asked = asyncio.ensure_future(call(pool, "/", b"100000"))
            await asyncio.sleep(0.2)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert said_lines(await call(pool, "/", b"1"))

    asyncio.run(main())


def said_lines(answer):
    return [line for line in answer.body.splitlines() if line.startswith(b"data: ")]


def test_what_it_counts_and_logs_arrives(monkeypatch):
    async def main():
        log = Log()
        async with isolated(service_spec("Counting"), log) as pool:
            await call(pool, "/", b"3")
            await until(lambda: pool.counts.items == 3)
            assert pool.counts.first_item_s.counts != [0] * len(pool.counts.first_item_s.counts)
            families = {family.name: family for family in pool.metrics.collect()}
            samples = {one.name: one.value for one in families["my_asked"].samples}
            assert samples["my_asked_total"] == 3
            assert (await call(pool, "/", b"0")).status == 500
            await until(lambda: any("why " * 10_000 in line for line in log.lines))
            assert any("RuntimeError" in each.get("traceback", "") for each in log.fields)
            assert not any("counts" in line for line in log.lines)

    asyncio.run(main())


def test_a_crash_costs_only_the_child():
    async def main():
        async with isolated(service_spec("Trouble")) as pool:
            before = pid_of(pool)
            answer = await call(pool, "/", b'"crash"')
            assert (answer.status, said(answer)["error"]["code"]) == (502, "upstream_failed")
            await until(lambda: pool.replicas()[0].state == "Failed")
            assert pool.replicas()[0].reason == "it ended with code 9"
            await until(lambda: pool.replicas()[0].state == "Ready", 30)
            assert said(await call(pool, "/", b'"fine"')) == pid_of(pool) != before

    asyncio.run(main())


def test_one_that_cannot_load_says_why():
    async def main():
        async with isolated(service_spec("Unloadable")):
            pass

    with pytest.raises(LoadError, match="no weights here"):
        asyncio.run(main())


def test_work_that_nothing_stops_ends_the_child(monkeypatch):
    async def main():
        log = Log()
        async with isolated(service_spec("Stuck"), log) as pool:
            before = pid_of(pool)
            asked = asyncio.ensure_future(call(pool, "/", b'"stuck"'))
            await asyncio.sleep(0.3)
            asked.cancel()
            await log.wait_for("work goes on 0.5 s after its caller has gone", 15)
            await until(lambda: pool.replicas()[0].state == "Ready" and pid_of(pool) != before, 15)
            assert not alive(before)
            assert said(await call(pool, "/", b'"fine"')) == pid_of(pool)

    asyncio.run(main())


def test_the_child_hands_the_context_on_and_hears_of_clients_that_go():
    async def main():
        seen = {}
        ended = asyncio.Event()

        async def app(scope, receive, send):
            seen.update(scope)
            await receive()
            try:
                await receive()
                await asyncio.sleep(60)
            finally:
                ended.set()

        async def receive():
            return parts.pop(0)

        parts = [
            {"type": "http.request", "body": b"x", "more_body": False},
            {"type": "http.disconnect"},
        ]
        context = json.dumps(["r", "a", 3, 5.0, "k", "j", "t"]).encode()
        headers = [(b"x-descent-context", context), (b"content-length", b"1")]
        scope = {"type": "http", "path": "/e/x", "headers": headers}
        made = child.ChildApp(app, {"input": 1}, "/e", lambda: None)
        await made(scope, receive, None)
        assert ended.is_set()
        got = seen["descent"]
        assert (got.request_id, got.api, got.version, got.key, got.job, got.trace) == (
            "r",
            "a",
            3,
            "k",
            "j",
            "t",
        )
        assert 4 < got.deadline - asyncio.get_running_loop().time() <= 5
        assert seen["headers"] == [(b"content-length", b"1")]
        assert seen["root_path"] == "/e"

    asyncio.run(main())


def test_what_never_ends_is_told(monkeypatch):
    monkeypatch.setattr(child, "STUCK_S", 0.05)
    told = asked(monkeypatch, heeds=False)
    assert told == ["stuck"]
    assert asked(monkeypatch, heeds=True) == []


def test_work_beyond_its_deadline_is_told_though_it_was_answered(monkeypatch):
    monkeypatch.setattr(child, "STUCK_S", 0.05)
    told = []

    async def main():
        async def app(scope, receive, send):
            await send({"type": "http.response.body", "body": b"late"})
            await asyncio.sleep(0.15)

        async def send(message):
            pass

        context = json.dumps(["r", "a", 1, 0.01, None, None, None]).encode()
        scope = {"type": "http", "path": "/", "headers": [(b"x-descent-context", context)]}
        for signature in ({}, {"paths": {}}):
            await child.ChildApp(app, signature, "", lambda: told.append(1))(scope, None, send)

    asyncio.run(main())
    assert told == [1]


def asked(monkeypatch, heeds):
    """What is told of an application whose client goes, and that heeds it or not."""
    monkeypatch.setattr(child, "WATCH_AFTER_S", 0.0)
    told = []

    async def main():
        async def app(scope, receive, send):
            until = asyncio.get_running_loop().time() + 0.2
            while asyncio.get_running_loop().time() < until:
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    if heeds:
                        raise

        async def receive():
            return {"type": "http.disconnect"}

        scope = {"type": "http", "path": "/", "headers": []}
        await child.ChildApp(app, None, "", lambda: told.append("stuck"))(scope, receive, None)

    asyncio.run(main())
    return told


def test_what_an_application_does_after_its_answer_is_its_own(monkeypatch):
    monkeypatch.setattr(child, "WATCH_AFTER_S", 0.0)
    monkeypatch.setattr(child, "STUCK_S", 0.01)
    done = []

    async def main():
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
            answered.set()
            await asyncio.sleep(0.1)
            done.append("in the background")

        async def receive():
            await answered.wait()
            return {"type": "http.disconnect"}  # as uvicorn says once the answer is whole

        async def send(message):
            pass

        answered = asyncio.Event()
        scope = {"type": "http", "path": "/", "headers": []}
        await child.ChildApp(app, None, "", lambda: done.append("stuck"))(scope, receive, send)

    asyncio.run(main())
    assert done == ["in the background"]
