"""Deployment: from a run folder, or any Python class, to a service that survives.

    spec (YAML | run folder | class) → backend loads a pool → gateway routes requests to it
                                     → jobs outlive the process in a durable store

`descent deploy`, `descent.deploy.client()` and the HTTP control API do the same things. The rooms:
`spec/` what is to run · `service/` load, decode, predict, encode · `gateway/` the way of a request
`jobs/` async, batch and task work · `traffic/` splitters · `scale/` how many replicas, and why
`pools/` where services run (this process, a command, Ray) · `control/` versions, updates, the node
Reference: Cortex' API kinds and field names (github.com/cortexlabs/cortex), shown beside ours in
docs/deploy.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descent.deploy.clients import Client, client
    from descent.deploy.service.base import Service, endpoint

__all__ = ["Client", "Service", "client", "endpoint"]


def __getattr__(name: str) -> Any:
    """Late, so that importing a part of the package costs that part alone."""
    if name in ("Client", "client"):
        from descent.deploy import clients

        return getattr(clients, name)
    if name in ("Service", "endpoint"):
        from descent.deploy.service import base

        return getattr(base, name)
    raise AttributeError(f"descent.deploy has no {name!r}")
