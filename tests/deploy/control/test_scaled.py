"""What the scaling loop is given, and an API of a real node that sleeps and wakes."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import httpx
import pytest

from descent.deploy.control.scaled import Scaled
from descent.deploy.gateway.metrics import Metrics
from descent.deploy.spec import read_specs


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, lambda cpus: 5 * cpus),  # 0.2 CPU each
        ({"autoscaling": {"min_replicas": 99}}, lambda cpus: 99),
        ({"backend": "ray"}, lambda cpus: None),
        (
            {"service": None, "pod": {"containers": [
                {"name": "a", "command": ["x"], "compute": {"cpu": "1500m"}},
                {"name": "b", "command": ["x"], "compute": {"cpu": "500m"}},
            ]}},
            lambda cpus: max(1, cpus // 2),
        ),
    ],
)  # fmt: skip
def test_room(fields, expected):
    data = {"name": "a", "kind": "RealtimeAPI", "service": "a.py:A", "backend": "command", **fields}
    if data["service"] is None:
        del data["service"]
    live = SimpleNamespace(spec=read_specs(data)[0])
    assert Scaled({}, Metrics(), "local")._room(live) == expected(os.cpu_count())


@pytest.mark.slow
def test_sleeps_and_wakes(make_node):
    node = make_node()
    with node.client() as client:
        quick = {
            "min_replicas": 0, "window": "10s", "downscale_stabilization_period": "10s",
            "upscale_stabilization_period": "10s",
        }  # fmt: skip
        client.deploy(
            {"name": "sum", "kind": "RealtimeAPI", "service": "says.py:Sum", "autoscaling": quick},
            folder=node.code,
        )
        assert client.predict("sum", [1, 2]) == 3
        until = time.monotonic() + 45
        while (replica := client.get_api("sum")["replica_list"][0])["state"] != "Pending":
            assert time.monotonic() < until, client.get_api("sum")
            time.sleep(0.2)
        assert replica["reason"] == "scaled to zero"
        answer = httpx.post(f"{node.url}/sum", json=[4, 5])
        assert (answer.status_code, answer.json()) == (200, 9)
        assert answer.headers["x-cortex-origin"] == "activator"
        assert "x-cortex-origin" not in httpx.post(f"{node.url}/sum", json=[4]).headers
        texts = [decision["text"] for decision in client.get_api("sum")["decisions"]]
        assert texts[0] == "0 → 1: a request came while at zero"
        assert texts[1].startswith("1 → 0: 0 in flight over 10 s")
