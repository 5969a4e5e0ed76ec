"""Ids that sort by the time they were made: 11 hexadecimal digits of milliseconds, 9 of chance."""

from __future__ import annotations

import secrets
import time

__all__ = ["new_id"]


def new_id(now: float | None = None) -> str:
    """An id of 20 hexadecimal digits; later ones sort after earlier ones (to the millisecond)."""
    at = time.time() if now is None else now
    return f"{max(0, int(at * 1000)):011x}{secrets.randbits(36):09x}"
