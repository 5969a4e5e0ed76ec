"""What there is to count about scaling, for Prometheus; copies there are: descent_replicas.

descent_autoscaling_wanted_replicas{api}             what was asked for last
descent_autoscaling_changes_total{api, direction}    how often that went up, down
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descent.deploy.scale.scaling import Scaler

__all__ = ["ScalingCollector"]


class ScalingCollector:
    """`scalers()` gives those of all APIs, by name."""

    def __init__(self, scalers: Callable[[], Iterable[tuple[str, Scaler]]]) -> None:
        self._scalers = scalers

    def collect(self) -> Iterator[Any]:
        """Families of prometheus_client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        wanted = GaugeMetricFamily(
            "descent_autoscaling_wanted_replicas", "Copies asked for last", labels=["api"]
        )
        changes = CounterMetricFamily(
            "descent_autoscaling_changes",
            "Decisions that changed the number of copies",
            labels=["api", "direction"],
        )
        for api, scaler in self._scalers():
            wanted.add_metric([api], scaler.autoscaler.replicas)
            for direction in ("up", "down"):
                changes.add_metric([api, direction], scaler.changes[direction])
        yield from (wanted, changes)
