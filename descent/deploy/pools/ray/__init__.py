"""The "ray" backend: replicas are Ray actors, wherever the cluster has room for them.

    node ── orders, events (JSON lines) ──► driver process ── Ray ──► actor: ServiceApp on a port
    node ── requests (HTTP, kept connections, the pool's secret) ─────────────► the same port

Ray places, starts and ends replicas and says when one has died. Requests do not pass through it:
an actor call costs 0.8 ms and Serve's proxy and router several, a kept connection a tenth of that,
and the node, the only caller, knows how loaded each replica is. The driver is a process of its own
because Ray aborts its driver when the cluster is gone: that may not end a node.
Why actors and not a Serve application: docs/deploy/ray.md. `application` is one, for KubeRay.
"""

from descent.deploy.pools.ray.backend import RayBackend
from descent.deploy.pools.ray.driving import Address

__all__ = ["Address", "RayBackend"]
