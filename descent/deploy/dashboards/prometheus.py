"""Prometheus' files: how a node is scraped, and when somebody is to be called.

An alert says what a person can do about it. Reference: Prometheus' alerting rules; Ewaschuk, "My
Philosophy on Alerting" (symptoms, not causes). Bounds that are everybody's own (latency) are left
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["ALERTS", "Alert", "alert_rules", "scrape_config"]

KEY_FILE = "/etc/prometheus/descent.key"
_FAILED = 'sum by (api) (rate(descent_api_requests_total{code=~"5.."}[5m]))'
_ALL = "sum by (api) (rate(descent_api_requests_total[5m]))"

_SICK = 'state=~"Failed|Killed|KilledOOM|Stalled|NotReady|ErrImagePull|Unknown"'


@dataclass(frozen=True)
class Alert:
    """True for `lasting`: somebody with this severity ("page", "ticket") hears `summary`."""

    name: str
    expr: str
    lasting: str
    severity: str
    summary: str


ALERTS = (
    Alert(
        "DescentDown", 'up{job="descent"} == 0', "2m", "page",
        "The node {{ $labels.instance }} does not answer Prometheus.",
    ),
    Alert(
        "DescentNotReady", "descent_node_ready == 0", "10m", "page",
        "The node says 503 at /readyz for ten minutes; its body says why.",
    ),
    Alert(
        "DescentErrors", f"{_FAILED} / {_ALL} > 0.05", "5m", "page",
        "More than 5 % of {{ $labels.api }}'s requests fail; the operator's page shows which.",
    ),
    Alert(
        "DescentQueue", "min_over_time(descent_api_queued[10m]) > 0", "5m", "ticket",
        "{{ $labels.api }} has not had room for ten minutes; more replicas or batching?",
    ),
    Alert(
        "DescentReplicas", f"sum by (api, state) (descent_replicas{{{_SICK}}}) > 0", "10m", "page",
        "Replicas of {{ $labels.api }} are {{ $labels.state }}; `descent describe` says why.",
    ),
    Alert(
        "DescentRestarts", "increase(descent_replica_restarts_total[15m]) > 3", "0m", "ticket",
        "Replicas of {{ $labels.api }} die again and again; see `descent logs`.",
    ),
    Alert(
        "DescentDeadLetters", 'delta(descent_jobs_units{state="dead"}[15m]) > 0', "0m", "ticket",
        "Jobs of {{ $labels.api_name }} were given up on; mend, then redrive them.",
    ),
    Alert(
        "DescentJobsStand",
        'min_over_time(descent_jobs_units{state="queued"}[15m]) > 0 and ignoring (state) '
        'max_over_time(descent_jobs_units{state="active"}[15m]) == 0',
        "5m", "page",
        "Jobs of {{ $labels.api_name }} wait and nobody works on them.",
    ),
    Alert(
        "DescentDisk", "descent_home_free_bytes < 1e9", "5m", "page",
        "Less than 1 GB is left for {{ $labels.instance }}'s home: jobs will be refused.",
    ),
    Alert(
        "DescentLogLost", "increase(descent_log_lines_dropped_total[15m]) > 0", "0m", "ticket",
        "{{ $labels.instance }} could not write its access log.",
    ),
)  # fmt: skip


def alert_rules() -> dict[str, Any]:
    """A rules file (`rule_files:` in prometheus.yml)."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expr,
            "for": alert.lasting,
            "labels": {"severity": alert.severity},
            "annotations": {"summary": alert.summary},
        }
        for alert in ALERTS
    ]
    return {"groups": [{"name": "descent", "rules": rules}]}


def scrape_config(url: str, *, keys: bool = False) -> dict[str, Any]:
    """For a node at `url`; `keys`: it wants an API key with the scope control:read, which stands in
    `KEY_FILE`."""
    address = urlsplit(url)
    job: dict[str, Any] = {
        "job_name": "descent",
        "scrape_interval": "15s",
        "scheme": address.scheme,
        "static_configs": [{"targets": [address.netloc]}],
    }
    if keys:
        job["authorization"] = {"type": "Bearer", "credentials_file": KEY_FILE}
    return {"scrape_configs": [job]}
