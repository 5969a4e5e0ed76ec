"""Is it worth while to wait for more requests before a batch begins?

    after an arrival   while   luck · fixed > n · usual,    for 3 · usual
    after an answer    while   comers · fixed > n · window,  for window = 3 · usual

n requests would each wait; whoever comes shares the batch's `fixed` cost with them (costs.py).
`usual` is the mean time from an event of that kind to the next arrival, `luck` how often somebody
came when that was hoped for, `comers` the mean number of arrivals within a window after an answer:
the clients who have been answered and ask again. So a lone client teaches that waiting is no use,
clients that come in bursts are gathered, and two halves of them that would take turns for ever find
together. Left out: the distribution of arrivals beyond these means.
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
        self._comers = 0.0
        self._came = 0  # since the last answer, within its window

    def arrival(self, now: float) -> None:
        """A request has come."""
        if self._bet is not None:
            self._settle(now <= self._bet)
        if self._answered > self._arrived:
            self.after_answer_s = self._learnt(self.after_answer_s, now - self._answered)
        else:
            self.after_arrival_s = self._learnt(self.after_arrival_s, now - self._arrived)
        self._arrived = now
        if self.after_answer_s is not None and now - self._answered <= self._window_s():
            self._came += 1

    def answered(self, now: float) -> None:
        """A batch has ended. Who comes from here on may come because of that."""
        if self._bet is not None:
            self._settle(False)
        self._answered = now
        self._comers += _NEWS * (self._came - self._comers)
        self._came = 0

    def wait_s(self, n: int, left_s: float, cost: Line, now: float) -> float:
        """How long `n` requests should wait for another, at most `left_s`; 0: not at all."""
        if self._bet is not None:  # asked again, and nobody has come
            self._settle(False)
        if not cost.known:
            return left_s
        if self._answered > self._arrived:
            usual_s, since = self.after_answer_s, self._answered
            gain, loss = self._comers, n * self._window_s()
        else:
            usual_s, since = self.after_arrival_s, self._arrived
            gain, loss = self.luck, n * (usual_s or 0.0)
        if usual_s is None:
            return 0.0
        wait_s = min(left_s, since + _QUIET * usual_s - now)
        if wait_s <= 0:
            return 0.0
        self._bet = now + wait_s
        return wait_s if gain * cost.fit()[1] > loss else 0.0

    def _window_s(self) -> float:
        return _QUIET * (self.after_answer_s or 0.0)

    def _learnt(self, usual_s: float | None, seen_s: float) -> float | None:
        if seen_s > self._longest_s:
            return usual_s
        return seen_s if usual_s is None else usual_s + _NEWS * (seen_s - usual_s)

    def _settle(self, won: bool) -> None:
        self._bet = None
        self.luck += _NEWS * (won - self.luck)
