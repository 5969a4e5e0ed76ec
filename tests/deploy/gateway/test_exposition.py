"""Metrics as text; other programs' names."""

import httpx
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from descent.deploy.gateway.exposition import render
from descent.deploy.gateway.metrics import BOUNDS_S, Metrics, quantile_s
from tests.deploy.gateway.conftest import gateway_of, serving


def samples(page: bytes) -> dict:
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(page.decode())
        for s in family.samples
    }


def value(page: bytes, name: str, **labels: str) -> list[float]:
    return [
        v
        for (n, given), v in samples(page).items()
        if n == name and labels.items() <= dict(given).items()
    ]


def test_page_of_a_served_gateway():
    gateway = gateway_of()
    with serving(gateway) as port:
        for _ in range(3):
            httpx.post(f"http://127.0.0.1:{port}/api")
        page = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = page.content
    assert value(found, "descent_api_requests_total", api="api", code="200") == [3]
    assert value(found, "descent_api_request_duration_seconds_count", api="api") == [3]
    assert value(found, "descent_api_in_flight", api="api") == [0]
    assert value(found, "cortex_in_flight_requests", api_name="api") == [0]
    assert value(found, "http_requests_total", handler="api", status="200") == [3]
    assert value(found, "ray_serve_num_http_requests_total", application="api") == [3]
    assert value(found, "bentoml_service_request_total", service_name="api") == [3]
    assert value(found, "descent_api_response_bytes_total")[0] > 0


def test_buckets_are_cumulated():
    metrics = Metrics()
    times = [0.0001, 0.0005, 0.0006, 0.3, 2.0, 5000.0]
    for seconds in times:
        metrics.api("a").record(200, seconds, 0)
    page = render(metrics)
    buckets = {
        float(dict(labels)["le"]): v
        for (name, labels), v in samples(page).items()
        if name == "descent_api_request_duration_seconds_bucket"
    }
    assert buckets
    for bound, n in buckets.items():
        assert n == sum(t <= bound for t in times)


@given(st.lists(st.floats(1e-4, 100), min_size=1, max_size=50), st.floats(0, 1))
def test_quantiles_are_in_the_right_bucket(times, q):
    metrics = Metrics().api("a")
    for seconds in times:
        metrics.record(200, seconds, 0)
    exact = sorted(times)[max(0, -int(-q * len(times) // 1) - 1)]
    found = quantile_s(metrics.counts, q)
    i = next(i for i, bound in enumerate(BOUNDS_S) if exact <= bound)
    assert BOUNDS_S[i - 1] <= found <= BOUNDS_S[i]


def test_nothing_has_no_quantile():
    assert quantile_s([0] * (len(BOUNDS_S) + 1), 0.99) == 0.0


def test_registered_collectors_are_there():
    from prometheus_client import CollectorRegistry, Counter

    registry = CollectorRegistry()
    Counter("jobs", "Jobs", registry=registry).inc(4)
    metrics = Metrics()
    metrics.register(registry)
    assert value(render(metrics), "jobs_total") == [4]
