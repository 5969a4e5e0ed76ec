"""Spans of requests, batches and jobs, read from the SDK's in-memory exporter."""

from __future__ import annotations

import asyncio
import json

import pytest

from descent.deploy import tracing
from descent.deploy.asking import ask
from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.pool import Context
from descent.deploy.pools.command_heads import head_of
from descent.deploy.service.inflight import current_context
from descent.deploy.spec import AsyncSpec, BatchSpec
from tests.deploy.jobs.nodes import in_loop, node
from tests.deploy.service.asking_apps import served

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="descent-ml[traces] is not installed")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ASKED = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = ASKED[:-2] + "00"


@pytest.fixture
def spans(monkeypatch):
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "active", tracing.Tracing(provider))
    return exporter.get_finished_spans


def gateway_to(app):
    gateway = Gateway()
    limits = Limits(max_concurrency=8)
    gateway.set_route(Route("thing", "RealtimeAPI", "/thing", Served("thing", 3, app, limits)))
    return tracing.Traced(gateway, tracing.active)


async def post(app, value=1, path="/thing", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(app, path, json.dumps(value).encode(), context=Context(""), headers=headers)


def id_of(span):
    return f"{span.context.span_id:016x}"


def parent_of(span):
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def by_name(found):
    names = [span.name for span in found]
    assert len(set(names)) == len(names), names
    return dict(zip(names, found))


@in_loop
async def test_a_request_from_the_client_to_the_service(spans):
    seen = []

    def double(x: int) -> int:
        seen.append(current_context().trace)
        return 2 * x

    async with served(double) as app:
        answer = await post(gateway_to(app), 21, traceparent=ASKED, x_request_id="r-1")
        assert answer.body == b"42"
    found = by_name(spans())
    outer, inner = found["POST /thing"], found["service thing"]
    assert f"{outer.context.trace_id:032x}" == f"{inner.context.trace_id:032x}" == TRACE
    assert parent_of(outer) == "00f067aa0ba902b7"
    assert parent_of(inner) == id_of(outer)
    assert seen == [f"00-{TRACE}-{id_of(inner)}-01"]
    assert dict(outer.attributes) == {
        "http.request.method": "POST", "url.path": "/thing", "http.route": "/thing",
        "http.response.status_code": 200, "descent.api": "thing", "descent.version": 3,
        "descent.request_id": "r-1",
    }  # fmt: skip
    assert inner.attributes["http.response.status_code"] == 200


@in_loop
async def test_a_services_own_spans_are_inside(spans):
    from opentelemetry.trace import get_current_span

    def name(x: int) -> str:  # in a thread
        return f"{get_current_span().get_span_context().span_id:016x}"

    async with served(name) as app:
        answer = await post(gateway_to(app))
    assert json.loads(answer.body) == id_of(by_name(spans())["service thing"])


@in_loop
async def test_failures_are_errors_and_mistakes_of_clients_are_not(spans):
    def fail(x: int) -> int:
        raise ValueError("no")

    async with served(fail) as app:
        gateway = gateway_to(app)
        assert (await post(gateway)).status == 500
        assert (await post(gateway, path="/elsewhere/deep")).status == 404
    found = by_name(spans())
    assert [found[n].status.status_code.name for n in ("POST /thing", "service thing", "POST")] == [
        "ERROR", "ERROR", "UNSET"
    ]  # fmt: skip
    assert found["POST"].attributes["http.response.status_code"] == 404


@in_loop
async def test_what_was_not_sampled_is_not_kept_and_probes_are_not(spans):
    seen = []

    def double(x: int) -> int:
        seen.append(current_context().trace)
        return 2 * x

    async with served(double) as app:
        gateway = gateway_to(app)
        assert (await post(gateway, traceparent=UNSAMPLED)).status == 200
        assert (await ask(gateway, "/livez", context=Context(""), method="GET")).status == 200
    assert spans() == ()
    assert seen[0].startswith(f"00-{TRACE}-")
    assert seen[0].endswith("-00")


@in_loop
async def test_an_api_named_like_a_probe_is_traced(spans):
    gateway = gateway_to(None)
    await post(gateway, path="/metrics-of-mine")
    await post(gateway, path="/metrics")
    assert [span.name for span in spans()] == ["POST"]


@in_loop
async def test_a_batch_is_linked_with_all_it_answers(spans):
    class Doubler:
        def predict(self, xs: list[int]) -> list[int]:
            return [2 * x for x in xs]

    batching = {"max_batch_size": 3, "max_wait_ms": 5000, "max_latency_ms": None}
    async with served(Doubler(), batching=batching) as app:
        gateway = gateway_to(app)
        headers = [ASKED, UNSAMPLED, ASKED.replace("4bf9", "5bf9")]
        answers = await asyncio.gather(*(post(gateway, 5, traceparent=one) for one in headers))
        assert [answer.body for answer in answers] == [b"10"] * 3
    (batch,) = [span for span in spans() if span.name == "batch"]
    first, other = [span for span in spans() if span.name == "service thing"]
    assert batch.attributes["descent.batch_size"] == 3
    assert parent_of(batch) == id_of(first)
    assert [link.context.span_id for link in batch.links] == [
        first.context.span_id, other.context.span_id
    ]  # fmt: skip
    assert [link.context.span_id for link in other.links] == [batch.context.span_id]


@in_loop
async def test_each_attempt_at_a_job_below_the_request_that_submitted_it(tmp_path, spans):
    spec = AsyncSpec(name="later", service="x.py:X", retry_backoff_s=0.01)
    tries = []

    def second_time(call):
        tries.append(call.headers["traceparent"])
        return "done" if len(tries) == 2 else (503, "text/plain", b"busy")

    async with node(tmp_path, spec, second_time) as n:
        said = await n.json("POST", "", 4, prefer="wait=10", traceparent=ASKED)
        assert (said["status"], said["attempts"]) == ("completed", 2)
    first, second = spans()
    assert [span.name for span in spans()] == ["job later"] * 2
    assert tries == [f"00-{TRACE}-{id_of(span)}-01" for span in spans()]
    assert [parent_of(span) for span in spans()] == ["00f067aa0ba902b7"] * 2
    assert [span.attributes["descent.attempt"] for span in spans()] == [1, 2]
    assert {span.attributes["descent.job"] for span in spans()} == {said["id"]}
    assert (first.status.status_code.name, second.status.status_code.name) == ("ERROR", "UNSET")
    assert "answered 503: busy" in first.status.description


@in_loop
async def test_a_batch_jobs_attempts(tmp_path, spans):
    async with node(tmp_path, BatchSpec(name="many", service="x.py:X"), lambda call: None) as n:
        job = {"workers": 1, "item_list": {"items": [1, 2, 3], "batch_size": 2}}
        said = await n.json("POST", "", job)
        id = said["job_id"]
        for _ in range(500):
            status = (await n.json("GET", "", query=f"jobID={id}"))["job_status"]["status"]
            if status.endswith("succeeded"):
                break
            await asyncio.sleep(0.02)
        assert status.endswith("succeeded")
    assert sorted(span.attributes["descent.unit"] for span in spans()) == [0, 1]
    assert {span.attributes["descent.job"] for span in spans()} == {id}


@in_loop
async def test_off_headers_go_on_as_they_came(monkeypatch):
    monkeypatch.setattr(tracing, "active", None)
    seen = []

    def double(x: int) -> int:
        seen.append(current_context().trace)
        return 2 * x

    async with served(double) as app:
        gateway = Gateway()
        gateway.set_route(Route("thing", "RealtimeAPI", "/thing", Served("thing", 1, app)))
        assert (await post(gateway, traceparent=ASKED)).status == 200
    assert seen == [ASKED]
    assert tracing.handed_on([("a", "b")]) == (None, [("a", "b")])
    assert tracing.handed_on([("traceparent", ASKED)]) == (ASKED, [("traceparent", ASKED)])


@in_loop
async def test_a_process_is_told_once():
    scope = {
        "method": "POST", "path": "/thing", "root_path": "/thing", "scheme": "http",
        "headers": [(b"traceparent", ASKED.encode())],
        "descent": Context("r", trace="00-1-2-01"),
    }  # fmt: skip
    assert head_of(scope, 0, False, plain=True).count(b"traceparent") == 1
    assert b"traceparent: 00-1-2-01\r\n" in head_of(scope, 0, False, plain=True)
    scope["descent"] = Context("r")
    assert f"traceparent: {ASKED}\r\n".encode() in head_of(scope, 0, False, plain=True)


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_what_turns_them_on(env, on):
    assert tracing.wanted(env) is on
