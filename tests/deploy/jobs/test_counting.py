import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from descent.deploy.jobs.counting import Counts, JobsCollector
from descent.deploy.spec import AsyncSpec, BatchSpec
from tests.deploy.jobs.nodes import in_loop, node


def scraped(*counts: Counts) -> dict[tuple[str, tuple], float]:
    registry = CollectorRegistry()
    registry.register(JobsCollector(lambda: counts))
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found[name, tuple(sorted(labels.items()))]


@in_loop
async def test_async_under_cortex_names(tmp_path):
    spec = AsyncSpec(name="sorter", service="x.py:X", retry_backoff_s=0.001)
    async with node(tmp_path, spec, lambda call: call.value or (400, "text/plain", b"")) as n:
        for body in (1, 2, 0):
            await n.json("POST", "", body, prefer="wait=10")
        n.pool.state = "Creating"
        await n.json("POST", "", 1)
        await n.api.status()
        found = scraped(n.api.counts)
    labels = {"api_name": "sorter", "api_kind": "AsyncAPI"}
    assert value(found, "cortex_async_request_count", **labels, status_code="200") == 2
    assert value(found, "cortex_async_request_count", **labels, status_code="400") == 1
    assert value(found, "cortex_async_latency_count", **labels) == 2
    assert value(found, "cortex_async_latency_bucket", **labels, le="+Inf") == 2
    queued = value(found, "cortex_async_queued", **labels)
    active = value(found, "cortex_async_active", **labels)
    assert queued + active == value(found, "cortex_async_in_flight", **labels) == 1


@in_loop
async def test_batch_under_cortex_names(tmp_path):
    spec = BatchSpec(name="b", service="x.py:X", retry_backoff_s=0.001)
    async with node(tmp_path, spec, lambda call: call.value[0] or (500, "text/plain", b"")) as n:
        body = {"workers": 1, "item_list": {"items": [1, 0, 2], "batch_size": 1}}
        id = (await n.json("POST", "", body))["job_id"]
        await n.json("GET", "", query=f"jobID={id}&wait=20")
        found = scraped(n.api.counts)
    labels = {"api_name": "b", "api_kind": "BatchAPI"}
    assert value(found, "cortex_batch_succeeded", **labels) == 2
    assert value(found, "cortex_batch_failed", **labels) == 3  # attempts, as Cortex counts
    assert value(found, "cortex_time_per_batch_count", **labels) == 2


def test_buckets_add_up():
    counts = Counts("t", "TaskAPI")
    for seconds in (0.001, 0.02, 0.02, 4.0, 1e6):
        counts.ended(seconds, "done")
    found = scraped(counts)
    labels = {"api_name": "t", "api_kind": "TaskAPI"}
    bucket = {
        dict(key)["le"]: number
        for (name, key), number in found.items()
        if name == "cortex_time_per_task_bucket"
    }
    assert (bucket["0.005"], bucket["0.025"], bucket["5.0"], bucket["+Inf"]) == (1, 3, 4, 5)
    assert value(found, "cortex_time_per_task_sum", **labels) == pytest.approx(1_000_004.041)
    assert value(found, "cortex_task_succeeded", **labels) == 5
