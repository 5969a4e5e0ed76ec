"""The rules that join several fields of a spec, or depend on its kind (Cortex' validations.go)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from descent.deploy.spec.sections import RESERVED_ENDPOINTS

if TYPE_CHECKING:
    from descent.deploy.spec.kinds import Spec

__all__ = ["MOST_CONCURRENCY", "broken_rules"]

Broken = tuple[tuple[str | int, ...], str]  # where, and what would be right

MOST_CONCURRENCY = {"RealtimeAPI": 30_000, "AsyncAPI": 100}
_NO_CONCURRENCY = {
    "BatchAPI": "a job says how many `workers` it gets when it is submitted",
    "TaskAPI": "a task runs once",
}


def broken_rules(spec: Spec) -> Iterator[Broken]:
    """Each rule `spec` breaks, by field."""
    yield from _of_the_kind(spec)
    if spec.networking.endpoint is None and spec.name in RESERVED_ENDPOINTS:
        yield ("name",), f"/{spec.name} is the node's own: give another networking.endpoint"
    if spec.kind == "TrafficSplitter":
        yield from _splitter(spec)
        return
    yield from _pod(spec)
    yield from _containers(spec)
    yield from _scaling(spec)
    yield from _others(spec)


def _of_the_kind(spec: Spec) -> Iterator[Broken]:
    from descent.deploy.spec.kinds import KINDS

    for name in sorted(spec.model_fields_set - spec.takes):
        kinds = [kind for kind, made in KINDS.items() if name in made.takes]
        if getattr(spec, name) not in (
            None,
            type(spec).model_fields[name].get_default(call_default_factory=True),
        ):
            yield (name,), f"{spec.kind} has no such field; {' and '.join(kinds)} have it"


def _pod(spec: Spec) -> Iterator[Broken]:
    pod = spec.pod
    if (most := MOST_CONCURRENCY.get(spec.kind)) is not None:
        if pod.max_concurrency > most:
            yield ("pod", "max_concurrency"), f"{spec.kind} allows 1 to {most}"
    elif pod.max_concurrency != 1:
        yield ("pod", "max_concurrency"), f"{spec.kind} has none: {_NO_CONCURRENCY[spec.kind]}"
    if spec.kind == "RealtimeAPI":
        if pod.max_queue_length > 30_000:
            yield ("pod", "max_queue_length"), "RealtimeAPI allows 1 to 30000"
    elif pod.max_queue_length != 100:
        why = (
            "an AsyncAPI keeps its queue in the store"
            if spec.kind == "AsyncAPI"
            else (f"{spec.kind} keeps its jobs in the store")
        )
        yield ("pod", "max_queue_length"), f"RealtimeAPI alone has a queue in memory: {why}"
    if spec.kind == "TaskAPI" and pod.port != 8080:
        yield ("pod", "port"), "a TaskAPI answers no requests: it has no port"


def _containers(spec: Spec) -> Iterator[Broken]:
    containers = spec.pod.containers
    if spec.service is None and not containers:
        yield (
            ("pod", "containers"),
            "nothing to run: give `service: file.py:Class` (or a run folder), or pod.containers",
        )
    if spec.service is not None:
        if len(containers) > 1 or any(c.model_fields_set - {"name", "compute"} for c in containers):
            yield (
                ("service",),
                "a spec has either `service` or pod.containers, not both; beside `service` one "
                "container may stand that has nothing but a name and `compute`",
            )
        return
    if containers and spec.backend == "local":
        yield ("backend",), 'containers run under backend "command" (or none: it is the default)'
    names = [container.name for container in containers]
    for n, container in enumerate(containers):
        at = ("pod", "containers", n)
        if names.index(container.name) != n:
            yield (*at, "name"), "two containers of a pod cannot have one name"
        if container.image is None and not container.command:
            yield at, "an image, or a command to run as a process, is needed"
        if spec.kind in ("BatchAPI", "TaskAPI"):
            if container.image is not None and not container.command:
                yield (*at, "command"), f"{spec.kind} needs the command of each container"
            if container.pre_stop is not None:
                yield (*at, "pre_stop"), f"{spec.kind} has no pre_stop: its work ends by itself"
        if spec.kind == "TaskAPI" and container.readiness_probe is not None:
            yield (*at, "readiness_probe"), "a TaskAPI answers no requests: it is never asked"


def _scaling(spec: Spec) -> Iterator[Broken]:
    if "autoscaling" not in spec.takes:
        return
    scaling, pod = spec.autoscaling, spec.pod
    most = pod.max_concurrency + pod.max_queue_length
    target = scaling.target_in_flight
    if spec.kind == "RealtimeAPI" and target is not None and target > most:
        yield (
            ("autoscaling", "target_in_flight"),
            f"at most pod.max_concurrency + pod.max_queue_length = {most} can be in flight",
        )
    if scaling.min_replicas > scaling.max_replicas:
        yield (
            ("autoscaling", "min_replicas"),
            f"at most max_replicas ({scaling.max_replicas}) is allowed",
        )
    first = scaling.init_replicas
    if first is not None and not scaling.min_replicas <= first <= scaling.max_replicas:
        limits = f"min_replicas ({scaling.min_replicas}) to max_replicas ({scaling.max_replicas})"
        yield ("autoscaling", "init_replicas"), f"{limits} is allowed"


def _others(spec: Spec) -> Iterator[Broken]:
    for n, group in enumerate(spec.node_groups or []):
        if not re.fullmatch(r"[a-zA-Z0-9_-]+", group):
            yield ("node_groups", n), "letters, digits, '-' and '_' are allowed"
    if spec.node_groups is not None and not 1 <= len(spec.node_groups) <= 100:
        yield ("node_groups",), "1 to 100 groups are allowed; leave it out for all of them"
    for field in ("config", "warm_up"):
        try:
            json.dumps(getattr(spec, field), allow_nan=False)
        except ValueError:
            yield (field,), "JSON has no NaN and no infinity"


def _splitter(spec: Spec) -> Iterator[Broken]:
    names = [split.name for split in spec.apis]
    shown = [split for split in spec.apis if not split.shadow]
    if not shown:
        yield ("apis",), "at least one API that isn't a shadow is needed"
    elif (total := sum(split.weight for split in shown)) != 100:
        yield ("apis",), f"the weights of those that aren't shadows must sum to 100, not {total}"
    for n, split in enumerate(spec.apis):
        if names.index(split.name) != n:
            yield ("apis", n, "name"), "an API stands once in a splitter"
        if split.name == spec.name:
            yield ("apis", n, "name"), "a splitter cannot send to itself"
    shadows = [n for n, split in enumerate(spec.apis) if split.shadow]
    for n in shadows[1:]:
        yield ("apis", n, "shadow"), "one shadow per splitter is allowed"
    if spec.sticky_header is not None and not re.fullmatch(
        r"[A-Za-z0-9-]{1,100}", spec.sticky_header
    ):
        yield ("sticky_header",), "the name of a header is needed, like 'X-User-Id'"
    fallback = spec.guard.fallback if spec.guard else None
    if fallback is not None and fallback not in [split.name for split in shown]:
        yield ("guard", "fallback"), "one of the splitter's APIs (no shadow) is needed"
