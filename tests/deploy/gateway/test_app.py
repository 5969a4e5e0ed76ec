"""The gateway as a whole: its own pages, hosts, what is known of all APIs, its beginning."""

import asyncio

import httpx
import pytest

from descent.deploy.gateway import Route
from tests.deploy.gateway.conftest import (
    echo,
    gateway_of,
    post,
    raw,
    serving,
)


def test_nothing_there(echo_port):
    answer = post(echo_port, "/nope/x")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"] == "not_found"
    assert "/api" in error["message"]
    assert error["request_id"]


def test_probes(echo_port):
    for path in ("/livez", "/healthz", "/readyz"):
        assert httpx.get(f"http://127.0.0.1:{echo_port}{path}").status_code == 200
    assert post(echo_port, "/livez").status_code == 405
    assert post(echo_port, "/livez").headers["allow"] == "GET, HEAD"


def test_not_ready_while_alive():
    gateway = gateway_of()
    gateway.not_ready = "loading 'api'"
    gateway.set_route(Route("soon", "RealtimeAPI", "/soon"))
    with serving(gateway) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
        assert answer.status_code == 503
        assert answer.json()["reason"] == "loading 'api'"
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 503
        answer = post(port, "/soon")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


def test_many_mistakes_of_clients_keep_the_servers_own():
    gateway = gateway_of()
    for i in range(500):
        status = 500 if i == 3 else 400
        gateway.errors.add({"time": i, "api": "api", "status": status})
    kept = gateway.recent_errors("api")
    assert len(kept) == 200
    assert [e["time"] for e in kept[:2]] == [499, 498]
    assert [e["time"] for e in gateway.recent_errors("api", server_only=True)] == [3]


def test_other_hosts_are_refused():
    with serving(gateway_of(allowed_hosts=["127.0.0.1", "localhost"])) as port:
        assert post(port).status_code == 200
        assert post(port, headers={"host": "evil.example"}).status_code == 421
        assert post(port, "/livez", headers={"host": "evil.example"}).status_code == 421


def test_series():
    gateway = gateway_of()
    metrics = gateway.metrics.api("api")
    for second in range(3):
        for _ in range(second):
            metrics.record(200, 0.1, 10)
        metrics.record(500, 0.2, 10)
        gateway.tick(1000.0 + second)
    series = gateway.series("api")
    assert [s["requests"] for s in series] == [1, 2, 3]
    assert [s["errors"] for s in series] == [1, 1, 1]
    assert [s["time"] for s in gateway.series("api", 2)] == [1001.0, 1002.0]
    assert series[2]["p50_s"] == pytest.approx(0.1, rel=0.2)
    assert series[2]["p99_s"] == pytest.approx(0.2, rel=0.2)
    assert gateway.series("none") == []
    assert gateway.routes.by_name["api"].served.samples() == [0, 0, 0]


def test_a_deleted_api_is_forgotten():
    gateway = gateway_of(echo)
    gateway.errors.add({"time": 1, "api": "api", "status": 500})
    gateway.remove_route("api")
    assert gateway.series("api") == gateway.recent_errors("api") == []
    assert gateway.remove_route("api") is None
    assert "api" not in gateway.metrics.apis


def test_lifespan_failure_is_told():
    gateway, sent = gateway_of(), []

    async def broken():
        raise OSError("no database")

    gateway.on_start.append(broken)

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    asyncio.run(gateway({"type": "lifespan"}, receive, send))
    assert sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


def test_a_good_host_does_not_make_others_good():
    with serving(gateway_of(allowed_hosts=["127.0.0.1"])) as port:
        for host, status in [("127.0.0.1:1", 200), ("127.0.0.1:1", 200), ("x", 421), ("x", 421)]:
            assert post(port, headers={"host": host}).status_code == status
        assert raw(port, b"POST /api HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421")
