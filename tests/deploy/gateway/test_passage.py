"""The way of a request through the gateway, on a real socket."""

import asyncio
import gc
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from descent.deploy.errors import HttpError
from descent.deploy.gateway import Choice, Gateway, Limits, Route, Served
from tests.deploy.gateway.conftest import (
    Gate,
    echo,
    eventually,
    gateway_of,
    post,
    raw,
    reply,
    serving,
    whole,
)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_methods_paths_and_queries_reach_the_application(echo_port, method):
    answer = httpx.request(
        method, f"http://127.0.0.1:{echo_port}/api/sub/p%C3%A4th/?q=1%2F2", content=b"\x00body"
    )
    assert answer.status_code == 200
    if method != "HEAD":
        said = answer.json()
        assert said["path"] == "/sub/päth/"
        assert (said["method"], said["query"], said["body"]) == (method, "q=1%2F2", "\x00body")
        assert said["request_id"] == answer.headers["x-request-id"]
    else:
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0


def test_request_ids_are_taken_over_or_made(echo_port):
    assert post(echo_port, headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = {post(echo_port, headers={"x-request-id": bad}).headers["x-request-id"]
            for bad in ("with space", "x" * 200, "")}  # fmt: skip
    assert len(made) == 3
    assert all(len(i) == 32 for i in made)


def test_queue_full_then_served_in_order():
    gate = Gate()
    gateway = gateway_of(gate, limits=Limits(max_concurrency=1, max_queue_length=2))
    served = gateway.routes.by_name["api"].served
    with serving(gateway) as port, ThreadPoolExecutor(8) as pool:
        first = pool.submit(post, port)
        assert gate.inside.acquire(timeout=10)
        others = [pool.submit(post, port) for _ in range(2)]
        eventually(lambda: served.queued == 2)
        refused = post(port)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "queue_full"
        assert "pending request queue full" in refused.json()["error"]["message"]
        assert int(refused.headers["retry-after"]) >= 1
        assert gateway.metrics.api("api").queued == 2
        gate.go.set()
        assert [f.result().status_code for f in [first, *others]] == [200] * 3
    assert (served.in_flight, served.queued) == (0, 0)
    assert gateway.metrics.api("api").codes == {200: 3, 503: 1}
    assert gateway.metrics.api("api").waited == 3


@pytest.mark.parametrize("swallow", [False, True])
def test_too_large_by_counting(swallow):
    async def reads(scope, receive, send):
        try:
            await whole(receive)
        except HttpError:
            if not swallow:
                raise
            return await reply(send, b"mine", 400)
        await reply(send, b"ok")

    gateway = gateway_of(reads, limits=Limits(max_body_bytes=1000))
    with serving(gateway) as port:
        answer = post(port, content=iter([b"x" * 600, b"x" * 600]))
        assert answer.status_code == 413
        assert "1,000 bytes" in answer.json()["error"]["message"]
        assert post(port, content=iter([b"x" * 600, b"x" * 400])).status_code == 200
        assert post(port, content=b"x" * 1000).status_code == 200


def test_too_large_by_its_length_is_never_read():
    gateway = gateway_of(limits=Limits(max_body_bytes=1000))
    with serving(gateway) as port:
        head = (
            b"POST /api HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n"
        )
        answer = raw(port, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    assert b"connection: close" in answer


def test_a_mistake_of_the_application(caplog):
    async def broken(scope, receive, send):
        raise ZeroDivisionError("secret detail")

    async def broken_midway(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    gateway = gateway_of(broken)
    gateway.set_route(Route("half", "RealtimeAPI", "/half", Served("half", 1, broken_midway)))
    with serving(gateway) as port:
        answer = post(port, headers={"x-request-id": "r1"})
        assert answer.status_code == 500
        assert answer.json()["error"]["request_id"] == "r1"
        assert "secret" not in answer.text
        with pytest.raises(httpx.RemoteProtocolError):
            post(port, "/half")
        eventually(lambda: gateway.metrics.api("half").codes == {500: 1})
    assert gateway.recent_errors("half")[0]["message"] == "the answer was not finished"
    assert "request r1" in caplog.text
    assert "secret detail" in caplog.text
    assert gateway.recent_errors("api")[0]["request_id"] == "r1"


def test_errors_of_the_application_pass_and_are_kept():
    async def teapot(scope, receive, send):
        await whole(receive)
        await reply(send, b'{"detail": "short and stout"}', 418)

    gateway = gateway_of(teapot)
    gateway.routes.by_name["api"].keep_bodies = True
    with serving(gateway) as port:
        assert post(port, "/api/pot", content=b"tea").json() == {"detail": "short and stout"}
        eventually(lambda: gateway.recent_errors())
    (noted,) = gateway.recent_errors("api")
    assert noted["message"] == "short and stout"
    assert (noted["status"], noted["body"], noted["path"]) == (418, "tea", "/api/pot")
    assert gateway.recent_errors("other") == []


def test_streams_pass_at_once():
    step = threading.Event()

    async def stream(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while not step.is_set():
            await asyncio.sleep(0.005)
        await send({"type": "http.response.body", "body": b"second"})

    with serving(gateway_of(stream)) as port:
        with httpx.stream("POST", f"http://127.0.0.1:{port}/api") as answer:
            parts = answer.iter_raw()
            assert next(parts) == b"first"
            step.set()
            assert b"".join(parts) == b"second"


def test_guard():
    gateway = gateway_of()

    def guard(scope, route, context):
        if (b"authorization", b"Bearer k") not in scope["headers"]:
            raise HttpError(
                401, "no_key", "send a key", headers=((b"www-authenticate", b"Bearer"),)
            )
        context.key = "k"

    gateway.guard = guard
    with serving(gateway) as port:
        answer = post(port)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert post(port, headers={"authorization": "Bearer k"}).status_code == 200


def test_websockets_are_refused_in_words(echo_port):
    answer = raw(
        echo_port,
        b"GET /api HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: x\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"stream over HTTP" in answer


def test_switching_under_load_loses_nothing():
    def version(n):
        async def app(scope, receive, send):
            await whole(receive)
            await asyncio.sleep(0.002)
            assert n not in closed  # nobody is inside what has been closed
            await reply(send, str(n).encode())

        return Served("api", n, app, Limits(max_concurrency=4, max_queue_length=1000))

    closed: set[int] = set()
    gateway = Gateway()
    route = Route("api", "RealtimeAPI", "/api", version(1))
    gateway.set_route(route)
    stop = threading.Event()

    async def update():
        for n in range(2, 30):
            await asyncio.sleep(0.01)
            old, route.served = route.served, version(n)
            assert await old.drained(10)
            closed.add(old.version)
        stop.set()

    async def begin():
        tasks.append(asyncio.create_task(update()))

    tasks: list = []
    gateway.on_start.append(begin)

    def client(port):
        statuses = []
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            while not stop.is_set():
                statuses.append(http.post("/api", content=b"x").status_code)
        return statuses

    with serving(gateway) as port, ThreadPoolExecutor(12) as pool:
        statuses = [s for f in [pool.submit(client, port) for _ in range(12)] for s in f.result()]
    assert set(statuses) == {200}
    assert len(closed) == 28
    assert gateway.metrics.api("api").codes[200] == len(statuses)


def test_splitter_counts_for_both_and_sends_copies():
    seen = []

    async def shadow(scope, receive, send):
        seen.append((scope["path"], await whole(receive), scope["descent"].api))
        await reply(send, b"ignored", 500)

    gateway = gateway_of(name="main")
    trial = Served("trial", 1, shadow, Limits())
    main = gateway.routes.by_name["main"].served
    gateway.set_route(
        Route("split", "TrafficSplitter", "/split", choose=lambda scope: Choice(main, trial))
    )
    with serving(gateway) as port:
        assert post(port, "/split/x", content=b"abc").json()["path"] == "/x"
        eventually(lambda: gateway.metrics.api("trial").codes == {500: 1})
    assert seen == [("/split/x", b"abc", "trial")]
    for name in ("split", "main"):
        assert gateway.metrics.api(name).codes == {200: 1}
        assert gateway.metrics.api(name).in_flight == 0
    assert trial.in_flight == 0


def test_headers_that_cannot_be_sent(caplog):
    async def injected(scope, receive, send):
        await reply(send, b"", headers=[(b"x", b"a\r\nset-cookie: b")])

    with serving(gateway_of(injected)) as port:
        answer = post(port)
    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers


def test_a_request_leaves_nothing_for_the_collector():
    """Cycles would keep every body until a collection, and make collections many."""
    found = []

    async def counting(scope, receive, send):
        if scope["path"] == "/api/begin":
            gc.collect()
            gc.disable()
        if scope["path"] == "/api/end":
            found.append(gc.collect())
            gc.enable()
        await echo(scope, receive, send)

    with serving(gateway_of(counting, limits=Limits(timeout_s=10))) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            for path in ["warm"] * 5 + ["begin"] + ["x"] * 100 + ["end"]:
                sock.sendall(f"POST /api/{path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert found[0] < 100  # not one object a request
