"""What the operator looks at: each second of the last quarter of an hour, and the latest errors."""

from __future__ import annotations

from array import array
from collections import deque
from typing import Any

from descent.deploy.gateway.metrics import ApiMetrics, quantile_s

__all__ = ["RecentErrors", "Series"]

FIELDS = ("time", "requests", "errors", "p50_s", "p90_s", "p99_s", "in_flight", "queued")
SECONDS = 900
ERRORS = 200


class Series:
    """One API, second by second; made from the differences of its counters."""

    def __init__(self, metrics: ApiMetrics) -> None:
        self._metrics = metrics
        self._seconds: deque[array[float]] = deque(maxlen=SECONDS)
        self._counts = list(metrics.counts)
        self._failed = _failed(metrics)

    def tick(self, now: float) -> None:
        """The second that ends at unix time `now`."""
        m = self._metrics
        counts, failed = list(m.counts), _failed(m)
        new = [a - b for a, b in zip(counts, self._counts)]
        quantiles = [quantile_s(new, q) for q in (0.5, 0.9, 0.99)]
        row = (now, sum(new), failed - self._failed, *quantiles, m.in_flight, m.queued)
        self._seconds.append(array("d", row))
        self._counts, self._failed = counts, failed

    def last(self, seconds: int) -> list[dict[str, float]]:
        """The last `seconds`, oldest first."""
        kept = list(self._seconds)[-seconds:] if seconds > 0 else []
        return [dict(zip(FIELDS, row)) for row in kept]


class RecentErrors:
    """The last errors of every API. Mistakes of clients (4xx) are kept apart, so that many of them
    do not push the server's own out."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bool], deque[dict[str, Any]]] = {}

    def add(self, error: dict[str, Any]) -> None:
        """`error` has time, api, version, status, request_id, message, and perhaps body."""
        key = (error["api"], error["status"] >= 500)
        self._kept.setdefault(key, deque(maxlen=ERRORS)).append(error)

    def last(self, api: str | None = None, *, server_only: bool = False) -> list[dict[str, Any]]:
        """The last `ERRORS`, the latest first; `server_only`: without mistakes of clients."""
        found = [
            error
            for (name, of_server), kept in self._kept.items()
            if api in (None, name) and (of_server or not server_only)
            for error in kept
        ]
        return sorted(found, key=lambda e: e["time"], reverse=True)[:ERRORS]

    def forget(self, api: str) -> None:
        """Drop those of a deleted API."""
        for key in [key for key in self._kept if key[0] == api]:
            del self._kept[key]


def _failed(metrics: ApiMetrics) -> int:
    return sum(n for code, n in metrics.codes.items() if code >= 500)
