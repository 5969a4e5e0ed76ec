"""The same metrics under the names of Cortex, of Ray Serve, of BentoML and of plain HTTP servers.

A dashboard made for one of them finds what it looks for; nothing is counted twice. vLLM's names are
those of the text service (`descent/serve/aliases.py`), which registers its own collector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["aliased"]

# ours, less "descent_api_" → theirs, label for label (a label of ours that is not named is dropped)
_ALIASES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("in_flight", "cortex_in_flight_requests", {"api": "api_name", "kind": "api_kind"}),
    ("requests", "http_requests", {"api": "handler", "code": "status"}),
    ("request_duration_seconds", "http_request_duration_seconds", {"api": "handler"}),
    ("requests", "ray_serve_num_http_requests", {"api": "application", "code": "status_code"}),
    ("queued", "ray_serve_deployment_queued_queries", {"api": "application"}),
    ("in_flight", "ray_serve_replica_processing_queries", {"api": "application"}),
    ("requests", "bentoml_service_request", {"api": "service_name", "code": "http_response_code"}),
    ("in_flight", "bentoml_service_request_in_progress", {"api": "service_name"}),
    (
        "request_duration_seconds",
        "bentoml_service_request_duration_seconds",
        {"api": "service_name"},
    ),
)  # fmt: skip


def aliased(families: Iterable[Any]) -> Iterator[Any]:
    """Families under other names, for those of `families` that have any."""
    from prometheus_client.metrics_core import Metric

    by_name = {family.name: family for family in families}
    for ours, theirs, labels in _ALIASES:
        family = by_name.get(f"descent_api_{ours}")
        if family is None:
            continue
        renamed = Metric(theirs, family.documentation, family.type)
        for sample in family.samples:
            ending = sample.name.removeprefix(family.name)
            renamed.add_sample(theirs + ending, _renamed(sample.labels, labels), sample.value)
        yield renamed


def _renamed(labels: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {names.get(k, k): v for k, v in labels.items() if k in names or k == "le"}
