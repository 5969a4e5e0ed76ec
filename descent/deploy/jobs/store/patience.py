"""Trying again while something else recovers: pauses that double, within a time."""

from __future__ import annotations

import time

__all__ = ["Patience"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0


class Patience:
    """`while`-loops try, and on a failure that may pass ask `pause()`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until = time.monotonic() + seconds
        self.next_s = FIRST_PAUSE_S

    def pause(self) -> bool:
        """Sleep a little; False (at once) when the time would be over."""
        if time.monotonic() + self.next_s > self.until:
            return False
        time.sleep(self.next_s)
        self.next_s = min(2 * self.next_s, LONGEST_PAUSE_S)
        return True
