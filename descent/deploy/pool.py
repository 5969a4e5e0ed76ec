"""A pool: one version of one API, loaded and able to answer, wherever it runs.

The one interface between rooms is ASGI: a pool's `app` gets the request as the server read it,
`scope["root_path"]` being the API's endpoint ("/sorter"), `scope["path"]` the whole path
("/sorter/any/thing") and `scope["descent"]` the `Context`. A job is given to a pool in the same
way (`asking.ask`), so a service never knows which kind of API it works for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from starlette.types import ASGIApp

if TYPE_CHECKING:
    from descent.deploy.spec import Spec

__all__ = ["Backend", "Context", "LoadError", "Pool", "Replica", "Start"]


class LoadError(Exception):
    """A version that cannot be loaded or warmed; the message is what its owner must know."""


@dataclass(slots=True)
class Context:
    """What travels with a request, under `scope["descent"]`.

    `deadline`: in the event loop's time (seconds), None without a limit. `job`: the id of the job
    this request is a part of. `trace`: W3C traceparent, where tracing is on.
    """

    request_id: str
    api: str = ""
    version: int = 0
    deadline: float | None = None
    key: str | None = None
    job: str | None = None
    trace: str | None = None


@dataclass
class Replica:
    """One copy of a service. `state` is one of Cortex' words: Requested, Pending, Creating,
    NotReady, Ready, ReadyOutOfDate, ErrImagePull, Terminating, Failed, Killed, KilledOOM, Stalled,
    Unknown; `reason` says why in a sentence."""

    id: str
    state: str
    reason: str = ""
    started: float = 0.0  # unix seconds
    restarts: int = 0
    in_flight: int = 0
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Start:
    """What a backend needs to start a version.

    `folder`: what the version's owner sent, kept for rollback (code, run folder or a link to it).
    `log(line, **fields)`: one line of the version's own log.
    """

    spec: Spec
    version: int
    folder: Path
    log: Callable[..., None]
    config: dict[str, Any] = field(default_factory=dict)


class Pool(Protocol):
    """One version, answering.

    `signature` is JSON-able and describes what goes in and comes out:
    {"input": JSON schema, "output": JSON schema, "input_type": media type, "output_type": media
    type, "stream": bool, "examples": [values], "paths": {OpenAPI paths, where the app has its own}}
    """

    signature: dict[str, Any] | None

    @property
    def app(self) -> ASGIApp:
        """What answers requests."""
        ...

    def replicas(self) -> list[Replica]:
        """The copies there are, by state; cheap."""
        ...

    async def scale(self, replicas: int) -> None:
        """Go to this many copies (0 unloads); returns when that is under way."""
        ...

    async def close(self, grace_s: float) -> None:
        """End and free everything. Whoever calls has stopped sending requests and waited."""
        ...


class Backend(Protocol):
    """Where services run: "local" (this process), "command" (a process of its own), "ray"."""

    name: str

    async def start(self, start: Start) -> Pool:
        """Load and warm; returns when requests can be answered. Raises `LoadError`."""
        ...

    async def close(self) -> None:
        """End everything it started."""
        ...
