"""Whose turn it is: by weight, at random or always the same for the same header.

    P(target) = weight / Σ weights       sticky: argmax of weight / −ln u(header, target)

u is a hash as a number in (0, 1), so a change of weights moves only as many callers as it must, and
nobody between targets whose weights did not change. References: Cortex' TrafficSplitter; weighted
rendezvous hashing, Schindelhauer & Schomaker 2005. Left out: stickiness by cookie.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
import random
from collections.abc import Callable, Sequence

from starlette.types import Scope

from descent.deploy.errors import HttpError
from descent.deploy.gateway import Choice, Served
from descent.deploy.spec import Split

__all__ = ["Chooser"]


class Chooser:
    """Picks for each request. `find(name)` gives what is served of an API now, None where nothing
    is; `sticky_header`, where set and sent, decides instead of chance."""

    def __init__(
        self,
        splits: Sequence[Split],
        find: Callable[[str], Served | None],
        *,
        sticky_header: str | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.find = find
        self.sticky_header = None if sticky_header is None else sticky_header.lower().encode()
        self.targets = [split for split in splits if not split.shadow and split.weight]
        self.shadow = next((split.name for split in splits if split.shadow), None)
        self._names = [split.name for split in self.targets]
        self._sums = list(itertools.accumulate(split.weight for split in self.targets))
        self._random = (rng or random.Random()).random

    def __call__(self, scope: Scope) -> Choice:
        """The target of a request, and who is sent a copy. Raises `HttpError` 503 where the target
        has no version that could answer."""
        name = self.name(self._header(scope))
        served = self.find(name)
        if served is None:
            raise HttpError(503, "not_ready", f"'{name}' is not ready", retry_after_s=1)
        if self.shadow is None:
            return Choice(served)
        return Choice(served, self.find(self.shadow))

    def name(self, key: bytes | None = None) -> str:
        """The target by chance, or for a header's value."""
        if key is None:
            return self._names[bisect.bisect_right(self._sums, self._random() * self._sums[-1])]
        return max(self.targets, key=lambda split: _score(key, split)).name

    def _header(self, scope: Scope) -> bytes | None:
        wanted = self.sticky_header
        if wanted is None:
            return None
        return next((value for name, value in scope["headers"] if name == wanted), None)


def _score(key: bytes, split: Split) -> float:
    digest = hashlib.blake2b(key, digest_size=8, key=split.name.encode()).digest()
    u = (int.from_bytes(digest, "big") + 0.5) / 2**64
    return split.weight / -math.log(u)
