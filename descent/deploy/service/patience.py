"""Is it worth while to wait for one more request before a batch begins?

    wait   while   luck · fixed > n · usual,   for 3 · usual after the last event

n requests would each wait the `usual` time until the next one; that shares the batch's `fixed` cost
with them (costs.py), if it comes: `luck` is how often that was so. An event is an arrival, or the
end of a batch, whose clients may come again; each kind has its usual time. So a lone client, who
comes when it has been answered, teaches that waiting is no use, clients that come in bursts are
gathered, and two halves of them that would take turns for ever find together. Left out: the
distribution of arrivals beyond these means.
"""

from __future__ import annotations

from descent.deploy.service.costs import Line

__all__ = ["Patience"]

_NEWS = 0.1  # weight of the latest observation
_QUIET = 3  # intervals without an arrival: nobody comes


class Patience:
    """Learns from arrivals; times are a clock's seconds. `longest_s`: waits are never longer."""

    def __init__(self, longest_s: float) -> None:
        self.luck = 1.0
        self.after_arrival_s: float | None = None  # None: none have come close together
        self.after_answer_s: float | None = None
        self._longest_s = longest_s
        self._arrived = self._answered = float("-inf")
        self._bet: float | None = None  # somebody comes before this time

    def arrival(self, now: float) -> None:
        """A request has come."""
        if self._bet is not None:
            self._settle(now <= self._bet)
        if self._answered > self._arrived:
            self.after_answer_s = self._learnt(self.after_answer_s, now - self._answered)
        else:
            self.after_arrival_s = self._learnt(self.after_arrival_s, now - self._arrived)
        self._arrived = now

    def answered(self, now: float) -> None:
        """A batch has ended. Who comes from here on may come because of that."""
        if self._bet is not None:
            self._settle(False)
        self._answered = now

    def wait_s(self, n: int, left_s: float, cost: Line, now: float) -> float:
        """How long `n` requests should wait for another, at most `left_s`; 0: not at all."""
        if self._bet is not None:  # asked again, and nobody has come
            self._settle(False)
        if not cost.known:
            return left_s
        answer_is_last = self._answered > self._arrived
        usual_s = self.after_answer_s if answer_is_last else self.after_arrival_s
        if usual_s is None:
            return 0.0
        wait_s = min(left_s, max(self._answered, self._arrived) + _QUIET * usual_s - now)
        if wait_s <= 0:
            return 0.0
        self._bet = now + wait_s
        return wait_s if self.luck * cost.fit()[1] > n * usual_s else 0.0

    def _learnt(self, usual_s: float | None, seen_s: float) -> float | None:
        if seen_s > self._longest_s:
            return usual_s
        return seen_s if usual_s is None else usual_s + _NEWS * (seen_s - usual_s)

    def _settle(self, won: bool) -> None:
        self._bet = None
        self.luck += _NEWS * (won - self.luck)
