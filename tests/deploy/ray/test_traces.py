"""A replica of Ray's sends its spans, though Ray gives it none of the node's variables."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from descent.deploy.asking import ask
from tests.deploy.ray.conftest import context
from tests.deploy.ray.test_pool import pool_of, until
from tests.deploy.tracing.receiving import receiving

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="descent-ml[traces] is not installed"
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_replicas_spans_are_sent(cluster, started, monkeypatch):
    async def run(spans):
        async with pool_of(cluster, started("Service")) as pool:
            asked = dataclasses.replace(context(), trace=f"00-{TRACE}-00f067aa0ba902b7-01")
            answer = await ask(pool.app, "/", b'"pid"', context=asked, root_path="/sorter")
            pid = json.loads(answer.body)
            await until(lambda: spans)
        ((name, of, span),) = spans
        assert (name, of, span.name) == ("descent", pid, f"service {asked.api}")
        assert span.trace_id == bytes.fromhex(TRACE)
        assert span.parent_span_id == bytes.fromhex("00f067aa0ba902b7")

    with receiving() as (url, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        asyncio.run(run(spans))
