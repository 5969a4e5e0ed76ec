"""Specs: what is to run, validated. Field names, defaults and limits are Cortex' where it has them.

read_specs("apis.yaml") → [RealtimeSpec, TaskSpec, …]      spec_of("sorter.py:Sorter")
"""

from descent.deploy.spec.containers import Container, Exec, HttpGet, PreStop, Probe, TcpSocket
from descent.deploy.spec.errors import Problem, SpecError
from descent.deploy.spec.kinds import (
    KINDS,
    AsyncSpec,
    BatchSpec,
    RealtimeSpec,
    Spec,
    SplitterSpec,
    TaskSpec,
)
from descent.deploy.spec.reading import make_spec, read_specs
from descent.deploy.spec.sections import (
    Autoscaling,
    Batching,
    Guard,
    Pod,
    RayAutoscaling,
    Split,
    UpdateStrategy,
    Webhook,
)
from descent.deploy.spec.targets import changed, name_from, spec_of

__all__ = [
    "Spec",
    "RealtimeSpec",
    "AsyncSpec",
    "BatchSpec",
    "TaskSpec",
    "SplitterSpec",
    "KINDS",
    "read_specs",
    "make_spec",
    "spec_of",
    "changed",
    "name_from",
    "Problem",
    "SpecError",
    "Autoscaling",
    "Batching",
    "Container",
    "Exec",
    "Guard",
    "HttpGet",
    "Pod",
    "PreStop",
    "Probe",
    "RayAutoscaling",
    "Split",
    "TcpSocket",
    "UpdateStrategy",
    "Webhook",
]
