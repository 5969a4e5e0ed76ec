"""What there is to count about pools, for Prometheus: copies, restarts, memory, the work inside.

    descent_replicas{api, version, state} · descent_replica_restarts_total{api, version}
    descent_replica_memory_bytes{api, version}

A pool's `counts` (descent/deploy/service/counting.py), where it has them, and its `metrics`, a
service's own collector, are told with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from descent.deploy.pool import Pool
from descent.deploy.service.counting import service_families

__all__ = ["PoolsCollector"]

Live = tuple[str, int, Pool]  # an API's name, its version, what answers


class PoolsCollector:
    """`live` gives what answers now. One family for each name, however many pools tell it."""

    def __init__(self, live: Callable[[], Iterable[Live]]) -> None:
        self._live = live

    def collect(self) -> Iterator[Any]:
        """Families of prometheus_client."""
        live = [(api, version, _innermost(pool)) for api, version, pool in self._live()]
        yield from _replicas(live)
        counted = [
            (api, pool) for api, _, pool in live if getattr(pool, "counts", None) is not None
        ]
        yield from service_families((api, pool.counts) for api, pool in counted)  # type: ignore[attr-defined]
        yield from _joined(pool for _, _, pool in live)


def _innermost(pool: Pool) -> Pool:
    """The pool that does the work, where another one keeps it (residing.py)."""
    while (inner := getattr(pool, "pool", None)) is not None:
        pool = inner
    return pool


def _replicas(live: list[Live]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    names = ["api", "version"]
    states = GaugeMetricFamily("descent_replicas", "Copies, by state", labels=[*names, "state"])
    restarts = CounterMetricFamily(
        "descent_replica_restarts", "Copies that had to be started anew", labels=names
    )
    memory = GaugeMetricFamily(
        "descent_replica_memory_bytes", "Memory of a version's copies", labels=names
    )
    for api, version, pool in live:
        replicas, labels = pool.replicas(), [api, str(version)]
        for state, n in Counter(replica.state for replica in replicas).items():
            states.add_metric([*labels, state], n)
        restarts.add_metric(labels, sum(replica.restarts for replica in replicas))
        known = [r.memory_bytes for r in replicas if r.memory_bytes is not None]
        if known:
            memory.add_metric(labels, sum(known))
    yield from (states, restarts, memory)


def _joined(pools: Iterable[Pool]) -> Iterator[Any]:
    """The services' own families: two models of one kind tell the same names."""
    found: dict[str, Any] = {}
    for pool in pools:
        own = getattr(pool, "metrics", None)
        for family in own.collect() if own is not None else ():
            if family.name in found:
                found[family.name].samples.extend(family.samples)
            else:
                found[family.name] = family
    yield from found.values()
