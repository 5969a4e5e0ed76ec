"""Which API a path belongs to: the longest endpoint that the path is, or begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from descent.deploy.gateway.served import Served

__all__ = ["Choice", "Route", "Routes"]

RESERVED = ("/-", "/livez", "/readyz", "/healthz", "/metrics", "/v1", "/v2", "/openapi.json")


@dataclass(frozen=True)
class Choice:
    """Whom a splitter picked for one request, and who is sent a copy whose answer is dropped."""

    served: Served
    shadow: Served | None = None


@dataclass(eq=False)
class Route:
    """Where requests below `endpoint` ("/sorter") go.

    Setting `served` is the switch of an update: whoever has entered the old one ends there.
    `choose`, where set, picks per request instead (a TrafficSplitter). `keep_bodies`: failed
    requests' bodies (≤ 2 KiB) may be kept for the operator. `public` is left to `Gateway.guard`.
    """

    name: str
    kind: str
    endpoint: str
    served: Served | None = None
    choose: Callable[[Scope], Choice] | None = None
    keep_bodies: bool = False
    public: bool = False


class Routes:
    """All routes, found by name or by path."""

    def __init__(self) -> None:
        self.by_name: dict[str, Route] = {}
        self.by_endpoint: dict[str, Route] = {}
        self._deep: dict[str, list[Route]] = {}  # first segment → endpoints below it, longest first

    def set(self, route: Route) -> None:
        """Add a route, or replace the one of that name. Raises ValueError for a taken endpoint."""
        endpoint = route.endpoint
        if not endpoint.startswith("/") or endpoint == "/" or endpoint.endswith("/"):
            raise ValueError(f"endpoint {endpoint!r} must be like '/{route.name}'")
        first = first_segment(endpoint)
        if first in RESERVED:
            raise ValueError(f"endpoint {endpoint!r}: {first} is the node's own")
        taken = self.by_endpoint.get(endpoint)
        if taken is not None and taken.name != route.name:
            raise ValueError(f"endpoint {endpoint!r} is taken by '{taken.name}'")
        self.remove(route.name)
        self.by_name[route.name] = route
        self.by_endpoint[endpoint] = route
        self._index()

    def remove(self, name: str) -> Route | None:
        """Take a route away; None if there is none of that name."""
        route = self.by_name.pop(name, None)
        if route is not None:
            del self.by_endpoint[route.endpoint]
            self._index()
        return route

    def find(self, path: str) -> Route | None:
        """The route of a request's path."""
        cut = path.find("/", 1)
        first = path if cut < 0 else path[:cut]
        if self._deep and first in self._deep:
            for route in self._deep[first]:
                end = len(route.endpoint)
                if path.startswith(route.endpoint) and path[end : end + 1] in ("", "/"):
                    return route
        return self.by_endpoint.get(first)

    def _index(self) -> None:
        self._deep = {}
        for endpoint in sorted(self.by_endpoint, key=len, reverse=True):
            if endpoint.count("/") > 1:
                route = self.by_endpoint[endpoint]
                self._deep.setdefault(first_segment(endpoint), []).append(route)


def first_segment(path: str) -> str:
    """ "/a/b" → "/a"."""
    cut = path.find("/", 1)
    return path if cut < 0 else path[:cut]
