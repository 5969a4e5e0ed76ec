"""What a key is for: words that name a verb and, after a colon, the API it is limited to.

| scope | allows |
|---|---|
| `predict`, `predict:sorter` | requests to every RealtimeAPI and TrafficSplitter, or to one |
| `submit`, `submit:later` | jobs of every AsyncAPI, BatchAPI and TaskAPI, or of one |
| `control:read` | looking: what is deployed, logs, errors, jobs, metrics |
| `control:write` | changing it, and looking |
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from descent.deploy.errors import DeployError

__all__ = ["allows", "check_scopes", "wanted_of"]

_SCOPE = re.compile(r"(predict|submit)(:[a-z]([-a-z0-9]*[a-z0-9])?)?|control:(read|write)")
_JOBS = ("AsyncAPI", "BatchAPI", "TaskAPI")


def wanted_of(kind: str, name: str) -> str:
    """The narrowest scope that lets a request into an API of this kind and name."""
    return f"{'submit' if kind in _JOBS else 'predict'}:{name}"


def allows(scopes: Iterable[str], wanted: str) -> bool:
    """Whether one of the scopes is `wanted`, or more."""
    verb, _, _ = wanted.partition(":")
    wider = "control:write" if verb == "control" else verb
    return any(scope == wanted or scope == wider for scope in scopes)


def check_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes, each once. Raises `DeployError` for one that is none, or none at all."""
    found = tuple(dict.fromkeys(scopes))
    for scope in found:
        if not _SCOPE.fullmatch(scope):
            raise DeployError(
                f"scope {scope!r}: there are predict, predict:NAME, submit, submit:NAME, "
                "control:read and control:write"
            )
    if not found:
        raise DeployError("a key needs at least one scope, such as predict:NAME")
    return found
