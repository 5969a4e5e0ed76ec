"""Which replicas go when there are too many: those that do not answer yet before those that do.

Order: dead, then starting (newest first), then out of date, then ready ones with the least in
flight (newest first). Ray Serve's users lost running replicas to starting ones (ray#43034).
"""

from __future__ import annotations

from collections.abc import Sequence

from descent.deploy.pool import Replica

__all__ = ["to_end"]

_RANK = {"Ready": 3, "ReadyOutOfDate": 2}
_DEAD = ("Failed", "Killed", "KilledOOM", "ErrImagePull", "Terminating")


def to_end(replicas: Sequence[Replica], keep: int) -> list[Replica]:
    """The replicas to end so that `keep` stay, in the order in which to end them."""

    def order(replica: Replica) -> tuple[int, int, float]:
        rank = 0 if replica.state in _DEAD else _RANK.get(replica.state, 1)
        return rank, replica.in_flight, -replica.started

    return sorted(replicas, key=order)[: max(0, len(replicas) - max(0, keep))]
