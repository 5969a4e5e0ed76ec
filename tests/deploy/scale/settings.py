"""Specs with their systems' defaults, for tests that change one field at a time."""

from __future__ import annotations

from typing import Any

from descent.deploy.spec import RealtimeSpec
from descent.deploy.spec.sections import Autoscaling, Pod, RayAutoscaling


def cortex(**changed: Any) -> Autoscaling:
    return Autoscaling(**changed)


def ray(**changed: Any) -> RayAutoscaling:
    return RayAutoscaling(**changed)


def spec(policy: str = "cortex", max_concurrency: int = 1, ray: dict | None = None, **autoscaling):
    return RealtimeSpec(
        name="sorter",
        service="sorter.py:Sorter",
        policy=policy,
        pod=Pod(max_concurrency=max_concurrency),
        autoscaling=Autoscaling(**autoscaling),
        ray_autoscaling=RayAutoscaling(**(ray or {})),
    )
