"""Stop strings across token borders: where a stop begins, and how much text might still become one.

For stops S and text t: `find` is the stop in t that ends first; `held` is the
length of the longest suffix of t that is a proper prefix of some s. Text before the held part is
safe to send. Left out: stop conditions on token ids and on length, which need no text (see
`stream.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopStrings"]


class StopStrings:
    """A set of strings, any of which ends a completion and is not part of it."""

    def __init__(self, stops: Sequence[str]) -> None:
        if any(not stop for stop in stops):
            raise ValueError("a stop string is empty; it must have at least one character")
        self.stops = tuple(stops)
        self._longest = max(map(len, self.stops), default=0)

    def find(self, text: str) -> tuple[int, int] | None:
        """Where the stop string that is complete first begins and ends in `text`; None: nowhere.

        Complete first, not begun first: so the answer does not depend on where tokens end. Of two
        that end together the longer counts.
        """
        begins = ((text.find(stop), len(stop)) for stop in self.stops)
        ends = [(at + length, at) for at, length in begins if at >= 0]
        if not ends:
            return None
        end, begin = min(ends)
        return begin, end

    def held(self, text: str) -> int:
        """How many last characters of `text` may be the beginning of a stop string."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-length:]
            if any(len(stop) > length and stop.startswith(tail) for stop in self.stops):
                return length
        return 0
