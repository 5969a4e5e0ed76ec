"""When a target loses its share: too many errors, or too slow, in the last `window_s`.

    errors / requests > max_error_rate    or    p99 > max_p99_ms     once there were min_requests

Errors are answers of 500 and above (a client's mistakes are not the target's). What is judged are
differences of the API's own counters, so the window costs a request nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from descent.deploy.gateway.metrics import ApiMetrics, quantile_s
from descent.deploy.spec import Guard, Split

__all__ = ["Seen", "Watch", "fallback_of", "judge"]


@dataclass(frozen=True)
class Seen:
    """A target's requests in a window."""

    requests: int
    errors: int
    p99_s: float


def judge(guard: Guard, seen: Seen) -> str | None:
    """Why traffic must go back, or None."""
    if seen.requests < guard.min_requests:
        return None
    rate = seen.errors / seen.requests
    if guard.max_error_rate is not None and rate > guard.max_error_rate:
        return (
            f"{seen.errors} of {seen.requests} requests failed in {guard.window_s:g} s: "
            f"{rate:.1%} is above max_error_rate {guard.max_error_rate:.1%}"
        )
    if guard.max_p99_ms is not None and seen.p99_s * 1e3 > guard.max_p99_ms:
        return (
            f"p99 of {seen.requests} requests in {guard.window_s:g} s was "
            f"{seen.p99_s * 1e3:.0f} ms: above max_p99_ms {guard.max_p99_ms:g}"
        )
    return None


def fallback_of(guard: Guard, now: list[Split], before: list[Split] | None) -> str | None:
    """Who gets the traffic back: the one named; else the one that had most of it before the last
    change; else the one that has most now."""
    if guard.fallback is not None:
        return guard.fallback
    here = {split.name for split in now}
    for splits in (before or [], now):
        known = [split for split in splits if not split.shadow and split.name in here]
        if known:
            return max(known, key=lambda split: split.weight).name
    return None


class Watch:
    """One target's counters over a window. `look(now)` once a second or so."""

    def __init__(self, metrics: ApiMetrics, window_s: float) -> None:
        self._metrics = metrics
        self._window_s = window_s
        self._marks: deque[tuple[float, int, int, list[int]]] = deque()

    def look(self, now: float) -> Seen:
        """What happened in the last `window_s` (or since the first look)."""
        codes = self._metrics.codes
        total = sum(codes.values())
        failed = sum(n for code, n in codes.items() if code >= 500)
        counts = list(self._metrics.counts)
        self._marks.append((now, total, failed, counts))
        while len(self._marks) > 1 and self._marks[1][0] <= now - self._window_s:
            self._marks.popleft()
        _, total_then, failed_then, counts_then = self._marks[0]
        new = [a - b for a, b in zip(counts, counts_then)]
        return Seen(total - total_then, failed - failed_then, quantile_s(new, 0.99))
