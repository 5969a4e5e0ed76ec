"""A batch with a bad item in it: find it by halves, so that only its own request fails.

    predict([a, b, c, d]) raises → [a, b] and [c, d] → … → [c] raises: c's answer is that exception

For n items with k bad ones about 2k·log₂ n further calls. So a service that batches may see an
item more than once. Written as a generator, driven alike from a thread and from the event loop.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

__all__ = ["Outcomes", "apart", "check_count"]

Outcomes = Generator[list[Any], "list[Any] | Exception", list[Any]]


def apart(values: list[Any]) -> Outcomes:
    """Yields lists to call predict with, is sent its results or its exception, and returns an
    outcome for each value: a result or an exception."""
    outcomes: list[Any] = [None] * len(values)
    parts = [(0, len(values))] if values else []
    while parts:
        start, end = parts.pop()
        got = yield values[start:end]
        if not isinstance(got, Exception):
            outcomes[start:end] = got
        elif end - start == 1:
            outcomes[start] = got
        else:
            middle = (start + end) // 2
            parts += [(middle, end), (start, middle)]
    return outcomes


def check_count(results: Any, asked: int) -> list[Any]:
    """Results as a list, one for each value asked. Raises TypeError: a fault of the service, which
    smaller batches would only hide."""
    try:
        listed = list(results)
    except TypeError:
        raise TypeError(
            f"predict must return a list of {asked} results for a batch of {asked}, not a"
            f" {type(results).__name__}"
        ) from None
    if len(listed) != asked:
        raise TypeError(f"predict returned {len(listed)} results for a batch of {asked}")
    return listed
