"""A token bucket: `burst` requests at once, `per_s` more each second.

    level ← min(burst, level + per_s · Δt);  a request takes 1, or waits (1 − level) / per_s

Reference: Turner, "New directions in communications", 1986 (the leaky bucket as a meter).
"""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """Full at first. Times are seconds of one monotonic clock."""

    __slots__ = ("burst", "level", "per_s", "seen")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self.per_s, self.burst = per_s, burst
        self.level, self.seen = float(burst), now

    def take(self, now: float) -> float:
        """0.0: a request may go on. Else the seconds until one may; nothing is taken."""
        if now > self.seen:  # a clock that went back gives nothing and takes nothing
            self.level = min(self.burst, self.level + self.per_s * (now - self.seen))
        self.seen = now
        if self.level >= 1.0:
            self.level -= 1.0
            return 0.0
        return (1.0 - self.level) / self.per_s
