"""Metrics as text.

A node is one process, which sees every request. What a service counts in a child of the command
backend reaches it by the child's own channel (`pools/child_counts.py`); left out: in a replica of
Ray's (batch sizes, tokens).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from descent.deploy.gateway.aliases import aliased

if TYPE_CHECKING:
    from descent.deploy.gateway.metrics import Metrics

__all__ = ["render"]


def render(metrics: Metrics) -> bytes:
    """The page: `metrics`' families, and those of them that have other names under these.

    Where a service tells a family by such a name itself, the gateway's counts: a name may stand on
    the page once only."""
    from prometheus_client.exposition import generate_latest

    families = list(metrics.collect())
    others = list(aliased(families))
    taken = {family.name for family in others}

    class Page:
        def collect(self) -> Iterable[Any]:
            yield from (family for family in families if family.name not in taken)
            yield from others

    return generate_latest(Page())  # type: ignore[arg-type]
