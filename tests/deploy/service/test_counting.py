"""What is counted, and how Prometheus is told."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Counter, generate_latest

from descent.deploy.pool import Replica
from descent.deploy.pools.counting import PoolsCollector
from descent.deploy.service.counting import Buckets, ServiceCounts
from tests.deploy.service.asking_apps import post, served


def text_of(*live) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PoolsCollector(lambda: live))
    return generate_latest(registry).decode()


class Pool:
    def __init__(self, counts=None, metrics=None, replicas=()):
        self.counts, self.metrics, self._replicas = counts, metrics, list(replicas)

    def replicas(self):
        return self._replicas


def test_buckets_are_cumulative_and_bounds_belong_to_them():
    buckets = Buckets((1, 2, 4))
    for value in (1, 2, 3, 4, 5):
        buckets.add(value)
    assert buckets.cumulated() == ([("1", 1.0), ("2", 2.0), ("4", 4.0), ("+Inf", 5.0)], 15.0)


def test_a_streams_pace_is_counted():
    def three(x):
        yield from range(3)

    async def scenario():
        async with served(three) as app:
            await post(app, 1)
            await post(app, 1)
            return app.counts

    counts = asyncio.run(scenario())
    assert counts.items == 6
    assert sum(counts.first_item_s.counts) == 2
    assert sum(counts.inter_item_s.counts) == 4


def test_pools_are_told_with_their_copies():
    counts = ServiceCounts()
    counts.batch(3)
    pool = Pool(counts, None, [Replica("a", "Ready", restarts=2, memory_bytes=100)])
    other = Pool(None, None, [Replica("b", "Ready"), Replica("c", "Failed")])
    text = text_of(("one", 4, pool), ("two", 1, other))
    assert 'descent_replicas{api="one",state="Ready",version="4"} 1.0' in text
    assert 'descent_replicas{api="two",state="Failed",version="1"} 1.0' in text
    assert 'descent_replica_restarts_total{api="one",version="4"} 2.0' in text
    assert 'descent_replica_memory_bytes{api="one",version="4"} 100.0' in text
    assert 'descent_api_batch_size_bucket{api="one",le="4"} 1.0' in text
    assert 'descent_api_batch_size_bucket{api="one",le="2"} 0.0' in text


def test_services_own_metrics_are_one_family_each():
    def own(label):
        registry = CollectorRegistry()
        Counter("tokens", "Tokens", ["model"], registry=registry).labels(label).inc(7)
        return registry

    text = text_of(("a", 1, Pool(metrics=own("x"))), ("b", 1, Pool(metrics=own("y"))))
    assert text.count("# TYPE tokens_total counter") == 1
    assert 'tokens_total{model="x"} 7.0' in text
    assert 'tokens_total{model="y"} 7.0' in text
