"""Live memory: the bytes of all arrays alive, kept up to date by weak references.

Every array leads to the one that owns its memory; an owner counts from the moment it is first seen
until it is collected. What lives only inside an op (a rung's temporaries) is never seen: the peak
is that between ops.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import numpy as np

__all__ = ["Ledger", "owner"]


def owner(a: np.ndarray) -> np.ndarray:
    """The array that owns the memory `a` looks at."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


class Ledger:
    """`live` is the bytes alive now, `peak` the most there have been."""

    def __init__(self) -> None:
        self.live = 0
        self.peak = 0
        self._known: dict[int, tuple[weakref.ref[np.ndarray], int]] = {}

    def see(self, arrays: Iterable[np.ndarray]) -> None:
        """Count the memory behind arrays; what is known already is not counted again."""
        for a in arrays:
            own = owner(a)
            key = id(own)
            if key not in self._known:
                self._known[key] = (
                    weakref.ref(own, lambda _, key=key: self._gone(key)),
                    own.nbytes,
                )
                self.live += own.nbytes
        self.peak = max(self.peak, self.live)

    def _gone(self, key: int) -> None:
        self.live -= self._known.pop(key)[1]
