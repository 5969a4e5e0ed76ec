"""What a service counts about its own work: batches, and the pace of streams.

descent_api_batch_size                    requests answered by one call of predict
descent_api_time_to_first_item_seconds    a streamed request's arrival to its first item
descent_api_inter_item_latency_seconds    between the items of one stream
descent_api_stream_items_total            items sent (tokens, where a service streams tokens)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

__all__ = ["Buckets", "ServiceCounts", "service_families"]

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
    10, 30,
)  # fmt: skip


class Buckets:
    """A histogram: how many values were at most each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """`value`, `times` over."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def cumulated(self) -> tuple[list[tuple[str, float]], float]:
        """As Prometheus has it: ([(le, count)], sum)."""
        found, below = [], 0
        for bound, count in zip(self.bounds, self.counts):
            below += count
            found.append((f"{bound:g}", float(below)))
        return [*found, ("+Inf", float(sum(self.counts)))], self.total


class ServiceCounts:
    """Of one API, all its versions in this process."""

    __slots__ = ("batch_size", "first_item_s", "inter_item_s", "items")

    def __init__(self) -> None:
        self.batch_size = Buckets(_SIZES)
        self.first_item_s = Buckets(_SECONDS)
        self.inter_item_s = Buckets(_SECONDS)
        self.items = 0

    def batch(self, size: int) -> None:
        """A batch has begun."""
        self.batch_size.add(size)

    def group(self, size: int, seconds: float, *, first: bool) -> None:
        """`size` items of a stream were sent, `seconds` after those before (first: after the
        request came)."""
        self.items += size
        if first:
            self.first_item_s.add(seconds)
            size -= 1
        elif size:
            self.inter_item_s.add(seconds / size, size)
            return
        if size > 0:
            self.inter_item_s.add(0.0, size)


def service_families(counts: Iterable[tuple[str, ServiceCounts]]) -> Iterator[Any]:
    """Prometheus families of (api, counts)."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    listed = list(counts)

    def histogram(name: str, meaning: str, of: Callable[[ServiceCounts], Buckets]) -> Any:
        family = HistogramMetricFamily(f"descent_api_{name}", meaning, labels=["api"])
        for api, each in listed:
            buckets, total = of(each).cumulated()
            family.add_metric([api], buckets, total)
        return family

    yield histogram("batch_size", "Requests in a batch", lambda c: c.batch_size)
    yield histogram(
        "time_to_first_item_seconds", "Request to a stream's first item", lambda c: c.first_item_s
    )
    yield histogram(
        "inter_item_latency_seconds", "Between a stream's items", lambda c: c.inter_item_s
    )
    items = CounterMetricFamily("descent_api_stream_items", "Items streamed", labels=["api"])
    for api, each in listed:
        items.add_metric([api], each.items)
    yield items
