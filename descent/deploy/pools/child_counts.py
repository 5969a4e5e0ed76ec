"""What a service in a child counts, told to the node: a snapshot a second, where anything changed.

The child's numbers begin at 0 each time it starts; the node adds what each snapshot has more than
the one before. A child that crashes takes the counts of its last second with it. The service's own
Prometheus families (a text model's) travel as text and are summed over the replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from descent.deploy.service.counting import ServiceCounts

__all__ = ["Families", "Tally", "snapshot"]

HISTOGRAMS = ("batch_size", "first_item_s", "inter_item_s")


def snapshot(counts: ServiceCounts) -> dict[str, Any]:
    """The counts as JSON-able numbers."""
    found: dict[str, Any] = {"items": counts.items}
    for name in HISTOGRAMS:
        buckets = getattr(counts, name)
        found[name] = [*buckets.counts, buckets.total]
    return found


class Tally:
    """Adds one child's snapshots to `counts`."""

    def __init__(self, counts: ServiceCounts) -> None:
        self._counts = counts
        self._last = snapshot(ServiceCounts())

    def restart(self) -> None:
        """The child begins again at 0."""
        self._last = snapshot(ServiceCounts())

    def take(self, taken: dict[str, Any]) -> None:
        """Add what is new in `taken`; one that doesn't look like a snapshot is left out."""
        if not _is_snapshot(taken, self._last):
            return
        last, self._last = self._last, taken
        self._counts.items += taken["items"] - last["items"]
        for name in HISTOGRAMS:
            buckets = getattr(self._counts, name)
            *news, total = (now - before for now, before in zip(taken[name], last[name]))
            buckets.counts = [old + new for old, new in zip(buckets.counts, news)]
            buckets.total += total


def _is_snapshot(taken: Any, like: dict[str, Any]) -> bool:
    return (
        isinstance(taken, dict)
        and isinstance(taken.get("items"), int)
        and all(
            isinstance(taken.get(name), list)
            and len(taken[name]) == len(like[name])
            and all(isinstance(number, int | float) for number in taken[name])
            for name in HISTOGRAMS
        )
    )


class Families:
    """The families of several children as one collector; `texts` gives their expositions."""

    def __init__(self, texts: Callable[[], Iterable[str]]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Any]:
        """Families of prometheus_client; samples of the same labels are summed."""
        from prometheus_client.metrics_core import Metric
        from prometheus_client.parser import text_string_to_metric_families

        kinds: dict[str, tuple[str, str]] = {}
        sums: dict[str, dict[tuple[str, tuple], float]] = {}
        for text in self._texts():
            for family in text_string_to_metric_families(text):
                kinds.setdefault(family.name, (family.documentation, family.type))
                found = sums.setdefault(family.name, {})
                for sample in family.samples:
                    key = (sample.name, tuple(sorted(sample.labels.items())))
                    found[key] = found.get(key, 0.0) + sample.value
        for name, (said, kind) in kinds.items():
            family = Metric(name, said, kind)
            for (sample, labels), value in sums[name].items():
                family.add_sample(sample, dict(labels), value)
            yield family
