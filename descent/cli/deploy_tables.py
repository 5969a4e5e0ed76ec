"""Tables of APIs, versions and jobs for the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

__all__ = ["ago", "apis_table", "description", "jobs_table", "table", "versions_table"]

_COLOURS = {
    "live": "green", "failed": "red", "loading": "yellow", "updating": "yellow",
    "retired": "dim", "interrupted": "yellow",
    "completed": "green", "succeeded": "green", "running": "cyan", "in_progress": "cyan",
    "Ready": "green", "Failed": "red", "Killed": "red", "KilledOOM": "red",
}  # fmt: skip


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A plain table; None is shown as nothing."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        out.add_column(column, min_width=len(column), overflow="fold")
    for row in rows:
        out.add_row(*("" if cell is None else _cell(cell) for cell in row))
    return out


def _cell(value: Any) -> Text:
    text = str(value)
    return Text(text, style=_COLOURS.get(text, ""))


def apis_table(apis: Sequence[dict[str, Any]]) -> Table:
    """`descent get`."""
    columns = (
        "api", "kind", "state", "version", "replicas", "inside",
        "mean", "2xx", "4xx", "5xx", "endpoint",
    )  # fmt: skip
    rows = []
    for api in apis:
        replicas = api["replicas"]
        version = api["version"]
        if version is not None and api["newest"] != version:
            version = f"{version} (of {api['newest']})"
        rows.append(
            (
                api["name"], api["kind"], api["state"], version,
                f"{replicas['ready']}/{replicas['requested']}" if replicas["requested"] else None,
                api["in_flight"] + api["queued"], milliseconds(api["mean_s"]),
                api["requests"]["2xx"], api["requests"]["4xx"], api["requests"]["5xx"],
                api["endpoint"],
            )
        )  # fmt: skip
    return table(columns, rows)


def versions_table(versions: Sequence[dict[str, Any]]) -> Table:
    """`descent versions`."""
    rows = []
    for version in versions:
        said = version["changes"] or ([] if version["number"] > 1 else ["first version"])
        if version["reason"]:
            said = [version["reason"], *said]
        rows.append(
            (
                version["number"], version["state"], ago(version["made"]), version["by"],
                "\n".join(said) or "nothing changed",
            )
        )  # fmt: skip
    return table(("version", "state", "deployed", "by", "what"), rows)


def jobs_table(jobs: Sequence[dict[str, Any]]) -> Table:
    """`descent jobs`."""
    columns = ("job", "kind", "status", "done", "failed", "created", "ended", "reason")
    rows = []
    for job in jobs:
        total, times = job.get("total"), job.get("timestamps", {})
        rows.append(
            (
                job.get("job_id") or job.get("id"), job.get("kind"), job["status"],
                f"{job.get('succeeded', 0)}/{total}" if total else None, job.get("failed") or None,
                clock(job.get("created_time") or times.get("created")),
                clock(job.get("end_time") or times.get("ended")),
                job.get("reason") or job.get("error"),
            )
        )  # fmt: skip
    return table(columns, rows)


def clock(moment: str | None) -> str | None:
    """An ISO time as the terminal shows it: "11-26 04:36:22" (UTC)."""
    return None if not moment else str(moment)[5:19].replace("T", " ")


def description(api: dict[str, Any]) -> list[Any]:
    """`descent describe`: what is printed, part by part."""
    state = Text(api["state"], style=_COLOURS.get(api["state"], ""))
    head = [
        ("state", state if not api["reason"] else Text(f"{api['state']}: {api['reason']}", "red")),
        ("kind", api["kind"]),
        ("version", api["version"]),
        ("address", api["url"]),
        ("in flight", f"{api['in_flight']}, {api['queued']} waiting"),
        ("requests", _requests(api)),
        *_particulars(api.get("status", {})),
    ]
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, value in head:
        facts.add_row(Text(name, "bold"), value if isinstance(value, Text) else Text(str(value)))
    parts: list[Any] = [facts]
    if api["replica_list"]:
        rows = [
            (r["id"], r["state"], r["reason"], r["restarts"], ago(r["started"]),
             megabytes(r["memory_bytes"]))
            for r in api["replica_list"]
        ]  # fmt: skip
        columns = ("replica", "state", "reason", "restarts", "started", "memory")
        parts += ["", table(columns, rows)]
    for decision in api.get("decisions", []):
        parts.append(Text(f"scaling: {decision['text']}"))
    parts += ["", versions_table(api["versions"])]
    if api.get("curl"):
        parts += ["", Text(api["curl"])]
    return parts


def _particulars(status: dict[str, Any]) -> list[tuple[str, str]]:
    """What is particular to the kind: a splitter's shares, a job API's queue."""
    rows = []
    for name, value in status.items():
        if name == "apis":
            shares = (f"{s['name']} {'a copy' if s['shadow'] else s['weight']}" for s in value)
            rows.append(("traffic", ", ".join(shares)))
        elif isinstance(value, dict):
            said = ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)
            rows.append((name.replace("_", " "), said))
        elif value is not None:
            rows.append((name.replace("_", " "), str(value)))
    return rows


def _requests(api: dict[str, Any]) -> str:
    counts = ", ".join(f"{n} {kind}" for kind, n in api["requests"].items() if n) or "none yet"
    mean, p99 = milliseconds(api["mean_s"]), milliseconds(api["p99_s"])
    return counts if mean is None else f"{counts}; mean {mean}, p99 {p99}"


def ago(moment: float | None) -> str | None:
    """How long ago a unix time was: "5s", "3m", "2h", "4d"."""
    if not moment:
        return None
    return f"{seconds(max(0.0, time.time() - moment))} ago"


def seconds(value: float | None) -> str | None:
    """A duration in its natural unit."""
    if value is None:
        return None
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if value >= size:
            return f"{int(value // size)}{unit}"
    return f"{value:.0f}s" if value >= 10 else f"{value:.1f}s"


def milliseconds(value: float | None) -> str | None:
    """A latency."""
    return None if value is None else f"{value * 1e3:.3g} ms"


def megabytes(value: int | None) -> str | None:
    """A size in memory."""
    return None if value is None else f"{value / 1e6:.0f} MB"
