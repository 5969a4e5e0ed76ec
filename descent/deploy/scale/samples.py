"""Measurements of the last window: how many requests were in flight, and what that is on average.

    average = Σ all samples of the window / the largest number of samples of one source

A source is one gateway process (Cortex: one pod's proxy). Dividing by the largest count, not by
each source's own, makes a source that has just begun weigh little. A sample is in the window when
it is younger than the window, so 60 s of one sample a second are 60 samples.
Reference: Cortex, `pkg/autoscaler/realtime_scaler.go`. Left out: Cortex' proxies report means of
ten one-second samples; the average of those is the average of the samples.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

__all__ = ["Samples"]

Reduction = Literal["mean", "max", "min"]


class Samples:
    """Samples of `window_s` seconds by source, oldest first; times are the caller's clock (s)."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._sources: dict[str, deque[tuple[float, float]]] = {}

    def add(self, time: float, value: float, source: str = "") -> None:
        """Note `value` in flight at `time`; what has left the window is forgotten."""
        self._sources.setdefault(source, deque()).append((time, value))
        self._forget(time)

    def average(self, now: float) -> float | None:
        """Cortex' average of the window, None when it holds no sample."""
        self._forget(now)
        counts = [len(samples) for samples in self._sources.values()]
        if not counts:
            return None
        total = sum(value for samples in self._sources.values() for _, value in samples)
        return total / max(counts)

    def reduced(self, now: float, how: Reduction) -> float | None:
        """Ray Serve's aggregate: each source's mean, max or min of the window, summed."""
        self._forget(now)
        if not self._sources:
            return None
        reduce = {"mean": lambda v: sum(v) / len(v), "max": max, "min": min}[how]
        return sum(reduce([value for _, value in s]) for s in self._sources.values())

    def aged(self, now: float) -> dict[str, list[tuple[float, float]]]:
        """(age in s, value) by source: what a restart keeps, free of any clock."""
        self._forget(now)
        return {k: [(now - t, v) for t, v in samples] for k, samples in self._sources.items()}

    def take_aged(self, now: float, sources: dict[str, list[tuple[float, float]]]) -> None:
        """The inverse of `aged`; replaces what is here."""
        self._sources = {k: deque((now - age, v) for age, v in s) for k, s in sources.items()}
        self._forget(now)

    def _forget(self, now: float) -> None:
        for source, samples in list(self._sources.items()):
            while samples and now - samples[0][0] >= self.window_s:
                samples.popleft()
            if not samples:
                del self._sources[source]
