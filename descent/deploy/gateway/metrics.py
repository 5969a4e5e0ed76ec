"""What is counted about each API, cheaply, and said in Prometheus' text format.

One request costs a dictionary's entry, a bisection and four additions; families are made when
`/metrics` is asked for. Latency buckets are fine inside (11 a decade, for quantiles) and a few of
them are exported. The same numbers stand there under other programs' names (`aliases.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["BOUNDS_S", "ApiMetrics", "Metrics", "quantile_s"]

_STEPS = (1.0, 1.2, 1.5, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
BOUNDS_S = tuple(float(f"{step}e{k}") for k in range(-5, 3) for step in _STEPS)  # 10 µs … 800 s
_EXPORTED_S = tuple(
    b for b in BOUNDS_S if 0.0005 <= b <= 300 and f"{b:e}"[:3] in ("1.0", "2.5", "5.0")
)


class ApiMetrics:
    """The counters of one API. `in_flight` counts those who are inside or wait, `queued` those who
    wait."""

    __slots__ = (
        "api", "codes", "counts", "in_flight", "kind", "queued", "response_bytes", "total_s",
        "waited", "waited_s",
    )  # fmt: skip

    def __init__(self, api: str, kind: str) -> None:
        self.api = api
        self.kind = kind
        self.codes: dict[int, int] = {}
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0
        self.response_bytes = 0
        self.in_flight = 0
        self.queued = 0
        self.waited = 0
        self.waited_s = 0.0

    def record(self, status: int, seconds: float, size: int) -> None:
        """One request has ended."""
        codes = self.codes
        codes[status] = codes.get(status, 0) + 1
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds
        self.response_bytes += size


class Metrics:
    """All of a process's metrics: the APIs', and those of collectors that others register."""

    def __init__(self) -> None:
        self.apis: dict[str, ApiMetrics] = {}
        self._collectors: list[Any] = []

    def api(self, name: str, kind: str = "") -> ApiMetrics:
        """The counters of an API, made when it is new."""
        found = self.apis.get(name)
        if found is None:
            found = self.apis[name] = ApiMetrics(name, kind)
        return found

    def forget(self, name: str) -> None:
        """Drop a deleted API's series."""
        self.apis.pop(name, None)

    def register(self, collector: Any) -> None:
        """Anything with prometheus_client's `collect()`; a registry is one, too."""
        self._collectors.append(collector)

    def collect(self) -> Iterator[Any]:
        """Families of prometheus_client, ours first."""
        yield from _families(list(self.apis.values()))
        for collector in self._collectors:
            yield from collector.collect()


def quantile_s(counts: Sequence[int], q: float) -> float:
    """The `q` quantile in seconds from counts per bucket, straight lines inside a bucket; 0.0 of
    nothing."""
    rank = q * sum(counts)
    below = 0
    for i, n in enumerate(counts):
        if n and below + n >= rank:
            low = BOUNDS_S[i - 1] if i else 0.0
            high = BOUNDS_S[min(i, len(BOUNDS_S) - 1)]
            return low + (high - low) * max(0.0, rank - below) / n
        below += n
    return 0.0


def _families(apis: list[ApiMetrics]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily as Counter
    from prometheus_client.core import GaugeMetricFamily as Gauge
    from prometheus_client.core import HistogramMetricFamily as Histogram
    from prometheus_client.core import SummaryMetricFamily as Summary

    def made(family: Any, name: str, meaning: str, read: Callable[[ApiMetrics], Any]) -> Any:
        filled = family(f"descent_api_{name}", meaning, labels=["api", "kind"])
        for m in apis:
            value = read(m)
            given = value if isinstance(value, tuple) else (value,)
            filled.add_metric([m.api, m.kind], *given)
        return filled

    requests = Counter(
        "descent_api_requests", "Requests answered, by status", labels=["api", "kind", "code"]
    )
    for m in apis:
        for code, n in sorted(m.codes.items()):
            requests.add_metric([m.api, m.kind, str(code)], n)
    yield requests
    yield made(
        Histogram, "request_duration_seconds", "From arrival to the last byte",
        lambda m: (_cumulated(m.counts), m.total_s),
    )  # fmt: skip
    yield made(Gauge, "in_flight", "Requests inside or waiting", lambda m: m.in_flight)
    yield made(Gauge, "queued", "Requests waiting to enter", lambda m: m.queued)
    yield made(Summary, "queue_seconds", "Waiting to enter", lambda m: (m.waited, m.waited_s))
    yield made(Counter, "response_bytes", "Bytes of answers", lambda m: m.response_bytes)


def _cumulated(counts: list[int]) -> list[tuple[str, int]]:
    """Prometheus' buckets: how many took at most `le` seconds."""
    found, total, i = [], 0, 0
    for bound in _EXPORTED_S:
        while i < len(BOUNDS_S) and BOUNDS_S[i] <= bound:
            total += counts[i]
            i += 1
        found.append((f"{bound:g}", total))
    return [*found, ("+Inf", sum(counts))]
