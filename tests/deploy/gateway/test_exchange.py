"""How a request ends from outside: its deadline, and its client going away."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from descent.deploy.gateway import Limits
from tests.deploy.gateway.conftest import (
    Gate,
    eventually,
    gateway_of,
    post,
    reply,
    serving,
)


def test_deadline_cancels_the_work():
    gate = Gate()
    gateway = gateway_of(gate, limits=Limits(timeout_s=0.1))
    with serving(gateway) as port:
        answer = post(port)
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timed_out"
        assert gate.cancelled.wait(10)
        eventually(lambda: gateway.routes.by_name["api"].served.in_flight == 0)
        gate.go.set()
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
    assert gateway.metrics.api("api").codes == {504: 1}


def test_work_that_does_not_stop_keeps_its_place():
    go = threading.Event()

    async def stubborn(scope, receive, send):
        while not go.is_set():
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                continue
        await reply(send, b"too late")

    gateway = gateway_of(stubborn, limits=Limits(1, 0, timeout_s=0.1))
    served = gateway.routes.by_name["api"].served
    with serving(gateway) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.post("/api").status_code == 504
        assert served.in_flight == 1
        assert client.post("/api").status_code == 503  # on the same connection
        go.set()
        eventually(lambda: served.in_flight == 0)
        assert client.post("/api").content == b"too late"  # now in time
    assert gateway.metrics.api("api").codes == {504: 1, 503: 1, 200: 1}


def test_deadline_while_waiting():
    gate = Gate()
    gateway = gateway_of(gate, limits=Limits(1, 5, timeout_s=0.2))
    with serving(gateway) as port, ThreadPoolExecutor(4) as pool:
        answers = [f.result().status_code for f in [pool.submit(post, port) for _ in range(3)]]
        assert answers == [504] * 3
        eventually(lambda: gateway.metrics.api("api").in_flight == 0)
    assert gateway.routes.by_name["api"].served.queued == 0


@pytest.mark.parametrize("http", [None, "httptools"])
def test_client_gone_cancels(http):
    """With our protocol at once; with a server that does not tell, by listening."""
    gate = Gate()
    gateway = gateway_of(gate)
    with serving(gateway, **({"http": http} if http else {})) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx")
            assert gate.inside.acquire(timeout=10)
        assert gate.cancelled.wait(10)
        eventually(lambda: gateway.metrics.api("api").codes == {499: 1})
        assert gateway.routes.by_name["api"].served.in_flight == 0
        assert gateway.recent_errors("api")[0]["message"] == "the client went away"


def test_client_gone_while_waiting():
    gate = Gate()
    gateway = gateway_of(gate, limits=Limits(1, 5))
    served = gateway.routes.by_name["api"].served
    with serving(gateway) as port, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, port)
        assert gate.inside.acquire(timeout=10)
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            eventually(lambda: served.queued == 1)
        eventually(lambda: served.queued == 0)
        gate.go.set()
        assert first.result().status_code == 200
        eventually(lambda: gateway.metrics.api("api").codes == {200: 1, 499: 1})


@pytest.mark.parametrize("why", ["late", "gone"])
def test_a_stream_that_does_not_heed_its_cancelling_ends(why):
    ended = threading.Event()

    async def stubborn(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    pass
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            ended.set()

    limits = Limits(timeout_s=0.05 if why == "late" else None)
    gateway = gateway_of(stubborn, limits=limits)
    with serving(gateway) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n")
            if why == "late":  # after its second of grace the connection is cut
                assert not b"".join(iter(lambda: sock.recv(65536), b"")).endswith(b"0\r\n\r\n")
            else:
                assert sock.recv(10)
        assert ended.wait(10)
        eventually(lambda: gateway.metrics.api("api").codes == {504 if why == "late" else 499: 1})
