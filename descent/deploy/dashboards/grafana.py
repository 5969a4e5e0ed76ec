"""The panels as Grafana's dashboard JSON, for import (Dashboards → New → Import) or provisioning.

Reference: Grafana's dashboard JSON model, schema version 39. Left out: thresholds and colours,
which are everybody's own; alerts are Prometheus' (prometheus.py).
"""

from __future__ import annotations

from typing import Any

from descent.deploy.dashboards.panels import ROWS, Panel

__all__ = ["dashboard"]

WIDTH, HEIGHT, ACROSS = 8, 8, 24  # Grafana's grid is 24 wide
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """JSON-able; its data source and its APIs are chosen on the page."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        grid = {"x": 0, "y": y, "w": ACROSS, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False,
             "gridPos": grid, "panels": []}
        )  # fmt: skip
        y += 1
        for i, panel in enumerate(row):
            x = i * WIDTH % ACROSS
            panels.append(_panel(panel, len(panels) + 1, x, y + i * WIDTH // ACROSS * HEIGHT))
        y += -(-len(row) * WIDTH // ACROSS) * HEIGHT
    return {
        "uid": "descent-node",
        "title": "Descent",
        "tags": ["descent"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": _options(panel.kind),
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": expr, "legendFormat": said,
             "range": panel.kind != "stat", "instant": panel.kind == "stat"}
            for i, (expr, said) in enumerate(panel.queries)
        ],
    }  # fmt: skip


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}


def _variables() -> list[dict[str, Any]]:
    every = "label_values(descent_api_in_flight, api)"
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {
            "name": "api", "label": "API", "type": "query", "datasource": _SOURCE,
            "query": {"query": every, "refId": "api"}, "definition": every, "refresh": 2,
            "multi": True, "includeAll": True, "allValue": ".*", "sort": 1,
            "current": {"text": "All", "value": "$__all"},
        },
    ]  # fmt: skip
