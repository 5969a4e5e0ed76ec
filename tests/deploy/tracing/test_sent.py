"""Spans sent by a real node, and by a child of it, to a receiver of OTLP over HTTP."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from tests.deploy.control.nodes import TestNode
from tests.deploy.tracing.receiving import receiving

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="descent-ml[traces] is not installed"
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


def test_a_node_and_its_child_send_one_trace(tmp_path, receiver, monkeypatch):
    url, spans = receiver
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # milliseconds
    node = TestNode(tmp_path, traces=url)
    try:
        node.start()
        with node.client() as client:
            spec = {"name": "sum", "kind": "RealtimeAPI", "service": "says.py:Sum"}
            client.deploy({**spec, "backend": "command"}, folder=node.code)
            headers = {
                "content-type": "application/json",
                "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            }
            asked = urllib.request.Request(f"{node.url}/sum", b"[1, 2]", headers)
            with urllib.request.urlopen(asked, timeout=20) as answer:
                assert json.loads(answer.read()) == 3
        until = time.monotonic() + 20
        while len(spans) < 2 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        node.end()
    (_, node_pid, outer), (_, child_pid, inner) = sorted(spans, key=lambda s: s[2].name)
    assert (outer.name, inner.name) == ("POST /sum", "service sum")
    assert outer.trace_id == inner.trace_id == bytes.fromhex(TRACE)
    assert inner.parent_span_id == outer.span_id
    assert node_pid == node.running.pid != child_pid
    assert {name for name, _, _ in spans} == {"descent"}
