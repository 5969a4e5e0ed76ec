"""Ids that sort by the time they were made: 11 hexadecimal digits of milliseconds, 9 of chance.

Within one millisecond of one process they rise, so that jobs begin in the order they came.
"""

from __future__ import annotations

import secrets
import threading
import time

__all__ = ["new_id", "new_ticket"]

CHANCE_BITS = 36
_lock = threading.Lock()
_last = (0, 0)


def new_id(now: float | None = None) -> str:
    """An id of 20 hexadecimal digits for a time in unix seconds (by default: now)."""
    global _last
    at = max(0, int((time.time() if now is None else now) * 1000))
    with _lock:
        chance = _last[1] + 1 if at == _last[0] else secrets.randbits(CHANCE_BITS - 1)
        _last = (at, chance)
    return f"{at:011x}{chance:09x}"


def new_ticket() -> str:
    """Names one call, so that its effect is recognised if it has to be made again."""
    return secrets.token_hex(8)
