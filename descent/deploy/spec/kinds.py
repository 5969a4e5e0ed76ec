"""A spec: what is to run, of which kind, and within which limits.

    RealtimeAPI  answers at once          AsyncAPI  answers later, by id
    BatchAPI     many items, one job      TaskAPI   runs once, to the end
    TrafficSplitter  shares one address among several RealtimeAPIs

Every kind has every attribute, so that whoever reads a spec need not ask; `takes` says which may be
set for a kind, and only those are dumped. `model_dump(mode="json")` is read back as the same spec,
`model_dump(mode="json", exclude_unset=True)` is what its author wrote.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from descent.deploy.spec.containers import Part
from descent.deploy.spec.rules import MOST_CONCURRENCY, broken_rules
from descent.deploy.spec.schedules import Schedule, ScheduleError
from descent.deploy.spec.sections import (
    Autoscaling,
    Batching,
    Guard,
    Networking,
    Pod,
    RayAutoscaling,
    Split,
    UpdateStrategy,
    Webhook,
)
from descent.deploy.spec.units import Between, Bytes, Duration, Whole, wrong

__all__ = ["KINDS", "AsyncSpec", "BatchSpec", "RealtimeSpec", "Spec", "SplitterSpec", "TaskSpec"]

_EVERY = {"name", "kind", "networking"}
_SERVED = _EVERY | {"service", "config", "pod", "node_groups", "backend", "timeout_s"}
_SERVED |= {"max_body_bytes", "batching", "warm_up", "idle_unload_s"}
_SCALED = {"autoscaling", "update_strategy", "policy", "ray_autoscaling"}
_JOBS = {"attempts", "retry_backoff_s", "lease_s", "ttl_s", "job_timeout_s", "webhook"}


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z](?:[-a-z0-9]{0,40}[a-z0-9])?", value):
        raise wrong(
            "a name is lower-case letters, digits and '-', begins with a letter, ends with a "
            "letter or digit and has at most 42 characters"
        )
    return value


def _schedule(value: str) -> str:
    try:
        Schedule(value)
    except ScheduleError as error:
        raise wrong(str(error)) from None
    return value


class Spec(Part):
    """One API. Durations are seconds, sizes bytes; field by field in docs/deploy/spec.md."""

    takes: ClassVar[frozenset[str]] = frozenset()

    name: Annotated[str, AfterValidator(_name)]
    kind: Literal["RealtimeAPI", "AsyncAPI", "BatchAPI", "TaskAPI", "TrafficSplitter"]
    service: str | None = None
    config: dict[str, JsonValue] = Field(default_factory=dict)
    pod: Pod = Pod()
    autoscaling: Autoscaling = Autoscaling()
    node_groups: list[str] | None = None
    update_strategy: UpdateStrategy = UpdateStrategy()
    networking: Networking = Networking()

    backend: Literal["local", "command", "ray"] | None = None
    policy: Literal["cortex", "ray"] = "cortex"
    ray_autoscaling: RayAutoscaling = RayAutoscaling()
    timeout_s: Annotated[Duration, Between(above=0)] | None = None
    max_body_bytes: Annotated[Bytes, Between(0, 2**40)] = 10 * 2**20
    overflow_status: Literal[503, 429] = 503
    batching: Batching | None = None
    warm_up: list[JsonValue] = Field(default_factory=list)
    idle_unload_s: Annotated[Duration, Between(1)] | None = None

    attempts: Annotated[Whole, Between(1, 1000)] = 3
    retry_backoff_s: Duration = 1.0
    lease_s: Annotated[Duration, Between(1, 86400)] = 30.0
    ttl_s: Annotated[Duration, Between(1)] = 7 * 86400.0
    job_timeout_s: Annotated[Duration, Between(above=0)] | None = None
    webhook: Webhook | None = None
    schedule: Annotated[str, AfterValidator(_schedule)] | None = None

    apis: list[Split] = Field(default_factory=list)
    sticky_header: str | None = None
    guard: Guard | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        broken = list(broken_rules(self))
        if broken:
            raise PydanticCustomError("rules", "{broken}", {"broken": broken})
        _fill(self, "networking", endpoint=self.networking.endpoint or f"/{self.name}")
        if self.batching is not None and "max_concurrency" not in self.pod.model_fields_set:
            # One batch that runs and one that gathers; with Cortex' 1, none would ever fill.
            most = MOST_CONCURRENCY.get(self.kind, 1)
            at_once = min(most, 2 * self.batching.max_batch_size)
            _fill(self, "pod", max_concurrency=at_once)
        scaling = self.autoscaling
        if scaling.init_replicas is None:
            _fill(self, "autoscaling", init_replicas=scaling.min_replicas)
        if scaling.target_in_flight is None:
            _fill(self, "autoscaling", target_in_flight=float(self.pod.max_concurrency))
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        shown = schema.get("properties", {})
        schema["properties"] = {name: shown[name] for name in shown if name in cls.takes}
        return schema

    @model_serializer(mode="wrap")
    def _taken(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.takes}


def _fill(spec: Spec, section: str, **values: Any) -> None:
    """Put what follows from other fields into a section, without marking it as the author's."""
    copy = getattr(spec, section).model_copy()
    for name, value in values.items():
        object.__setattr__(copy, name, value)
    object.__setattr__(spec, section, copy)


class RealtimeSpec(Spec):
    """Answers while the caller waits."""

    takes = frozenset(_SERVED | _SCALED | {"overflow_status"})
    kind: Literal["RealtimeAPI"] = "RealtimeAPI"


class AsyncSpec(Spec):
    """Takes work, answers with an id, keeps the result for `ttl_s`."""

    takes = frozenset(_SERVED | _SCALED | _JOBS)
    kind: Literal["AsyncAPI"] = "AsyncAPI"


class BatchSpec(Spec):
    """Jobs of many items, worked on by as many workers as the job asks for."""

    takes = frozenset(_SERVED | _JOBS)
    kind: Literal["BatchAPI"] = "BatchAPI"


class TaskSpec(Spec):
    """A command or function that runs to its end, on request or on a schedule."""

    takes = frozenset(_SERVED - {"batching", "warm_up", "idle_unload_s"} | _JOBS | {"schedule"})
    kind: Literal["TaskAPI"] = "TaskAPI"
    attempts: Annotated[Whole, Between(1, 1000)] = 1  # a task that failed halfway isn't run again


class SplitterSpec(Spec):
    """Shares the traffic of one address among RealtimeAPIs."""

    takes = frozenset(_EVERY | {"apis", "sticky_header", "guard"})
    kind: Literal["TrafficSplitter"] = "TrafficSplitter"


KINDS: dict[str, type[Spec]] = {
    "RealtimeAPI": RealtimeSpec,
    "AsyncAPI": AsyncSpec,
    "BatchAPI": BatchSpec,
    "TaskAPI": TaskSpec,
    "TrafficSplitter": SplitterSpec,
}
