"""The sections of a spec: pod, autoscaling, update strategy, networking, and ours."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from descent.deploy.spec.containers import Container, Part, Port
from descent.deploy.spec.units import Between, Duration, Number, Share, Whole, wrong

__all__ = [
    "Autoscaling",
    "Batching",
    "Guard",
    "Networking",
    "Pod",
    "RayAutoscaling",
    "Split",
    "UpdateStrategy",
    "Webhook",
]

TICK_S = 10.0  # Cortex' autoscaler looks every ten seconds
RESERVED_ENDPOINTS = frozenset({"-", "v1", "v2", "livez", "readyz", "healthz", "metrics"})


def _endpoint(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_\-./]*", value) or "//" in value:
        raise wrong("an endpoint is letters, digits, '-', '_', '.' and single '/'")
    if len(value) > 1000:
        raise wrong("at most 1000 characters are allowed")
    parts = value.strip("/").split("/")
    if parts == [""]:
        raise wrong("an endpoint needs at least one part, like '/sorter'")
    if "." in parts or ".." in parts:
        raise wrong("'.' and '..' are not parts of an endpoint")
    if parts[0] in RESERVED_ENDPOINTS:
        names = ", ".join(f"/{name}" for name in sorted(RESERVED_ENDPOINTS))
        raise wrong(f"{names} are the node's own; choose another in networking.endpoint")
    return "/" + "/".join(parts)


def _ticks(value: float) -> float:
    if value < TICK_S or value % TICK_S:
        raise wrong("a multiple of 10 s, at least 10 s, is needed: the autoscaler looks every 10 s")
    return value


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", value):
        raise wrong("an http:// or https:// address without user name is needed")
    return value


class Pod(Part):
    """One replica: its port, how much it takes at once, its containers."""

    port: Port = 8080
    max_concurrency: Annotated[Whole, Between(1)] = 1
    max_queue_length: Annotated[Whole, Between(1)] = 100
    containers: list[Container] = Field(default_factory=list)


class Autoscaling(Part):
    """Between how many replicas, and how fast (formula: descent/deploy/scale).

    `init_replicas` None is `min_replicas`, `target_in_flight` None is `pod.max_concurrency`; a spec
    that was read has both filled in.
    """

    min_replicas: Annotated[Whole, Between(0, 10_000)] = 1
    max_replicas: Annotated[Whole, Between(1, 10_000)] = 100
    init_replicas: Annotated[Whole, Between(0, 10_000)] | None = None
    target_in_flight: Annotated[Number, Between(above=0)] | None = None
    window: Annotated[Duration, AfterValidator(_ticks)] = 60.0
    downscale_stabilization_period: Duration = 300.0
    upscale_stabilization_period: Duration = 60.0
    max_downscale_factor: Annotated[Number, Between(0, below=1)] = 0.75
    max_upscale_factor: Annotated[Number, Between(above=1)] = 1.5
    downscale_tolerance: Annotated[Number, Between(0, below=1)] = 0.05
    upscale_tolerance: Annotated[Number, Between(0)] = 0.05


class RayAutoscaling(Part):
    """Ray Serve's autoscaling by its names; the replicas' limits are those of `autoscaling`."""

    target_ongoing_requests: Annotated[Number, Between(above=0)] = 2.0
    metrics_interval_s: Annotated[Duration, Between(above=0)] = 10.0
    look_back_period_s: Annotated[Duration, Between(above=0)] = 30.0
    upscaling_factor: Annotated[Number, Between(above=0)] = 1.0
    downscaling_factor: Annotated[Number, Between(above=0)] = 1.0
    upscale_delay_s: Duration = 30.0
    downscale_delay_s: Duration = 600.0
    downscale_to_zero_delay_s: Duration | None = None
    aggregation_function: Literal["mean", "max", "min"] = "mean"


class UpdateStrategy(Part):
    """How many replicas above and below the wanted number an update may use: 5 or "25%"."""

    max_surge: Share = "25%"
    max_unavailable: Share = "25%"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_surge in (0, "0%") and self.max_unavailable in (0, "0%"):
            raise wrong("max_surge and max_unavailable cannot both be 0: no replica could change")
        return self


class Networking(Part):
    """Where the API answers; None is "/<name>", and a spec that was read has it filled in."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None


class Batching(Part):
    """Several requests answered by one call of `predict` (descent/deploy/service)."""

    max_batch_size: Annotated[Whole, Between(1, 100_000)] = 32
    max_wait_ms: Annotated[Number, Between(0, 60_000)] = 5.0
    max_latency_ms: Annotated[Number, Between(above=0)] | None = None


class Webhook(Part):
    """Where a finished job is told; `secret_env` names the variable with the signing secret."""

    url: Annotated[str, AfterValidator(_http_url)]
    secret_env: str | None = None


class Split(Part):
    """One target of a splitter: its share in percent, or a copy of the traffic (`shadow`)."""

    name: str
    weight: Annotated[Whole, Between(0, 100)]
    shadow: bool = False


class Guard(Part):
    """When traffic goes back to `fallback` (None: the target with the largest weight before the
    last change): more than this share of errors, or a slower p99, in the last `window_s`."""

    max_error_rate: Annotated[Number, Between(0, 1)] | None = None
    max_p99_ms: Annotated[Number, Between(above=0)] | None = None
    min_requests: Annotated[Whole, Between(1)] = 20
    window_s: Annotated[Duration, Between(1, 900)] = 60.0
    fallback: str | None = None

    @model_validator(mode="after")
    def _guards(self) -> Self:
        if self.max_error_rate is None and self.max_p99_ms is None:
            raise wrong("max_error_rate or max_p99_ms is needed: else nothing is guarded")
        return self
