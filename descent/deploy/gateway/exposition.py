"""Metrics as text, right with several processes.

Every process that shares a folder leaves a snapshot of its families there; whoever is asked for
`/metrics` adds the others' counters, histograms and summaries to its own, and tells gauges apart by
a label `pid`. What a process counted stays after its end; its gauges go. Reference: the
multi-process mode of prometheus_client, without its memory-mapped files: here a snapshot is JSON.
Left out: folding the snapshots of ended processes together (each stays, a small file).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from descent.deploy.gateway.aliases import aliased

__all__ = ["Share", "merged", "render"]

_SUMMED = ("counter", "histogram", "summary")


class Share:
    """A folder in which processes of one node leave their snapshots."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own = f"{os.getpid()}-{_born(os.getpid())}.json"

    def publish(self, families: Iterable[Any]) -> None:
        """Leave this process's state; not synced to the disk: it need not survive the machine."""
        data = json.dumps([_plain(family) for family in families])
        path = self.folder / self._own
        temporary = path.with_suffix(".part")
        temporary.write_text(data, encoding="utf-8")
        os.replace(temporary, path)

    def others(self) -> list[tuple[str, list[dict[str, Any]], bool]]:
        """(pid, families, alive) of every other process that has left something."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            if path.name == self._own:
                continue
            with suppress(OSError, ValueError):
                pid, _, born = path.stem.partition("-")
                families = json.loads(path.read_text(encoding="utf-8"))
                found.append((pid, families, _born(int(pid)) == born))
        return found


def merged(own: Iterable[Any], others: list[tuple[str, list[dict[str, Any]], bool]]) -> list[Any]:
    """One family for each name; see above."""
    from prometheus_client.metrics_core import Metric

    me = [(str(os.getpid()), [_plain(family) for family in own], True)]
    sums: dict[str, Any] = {}
    for pid, families, alive in me + others:
        for family in families:
            name, kind = family["name"], family["type"]
            if kind not in _SUMMED and not alive:
                continue
            into = sums.setdefault(name, (family["help"], kind, {}))[2]
            for sample, labels, value in family["samples"]:
                if kind not in _SUMMED and others:
                    labels = {**labels, "pid": pid}
                key = (sample, tuple(labels.items()))
                if sample.endswith("_created"):  # a time
                    into[key] = min(into.get(key, value), value)
                else:
                    into[key] = into.get(key, 0.0) + value
    made = []
    for name, (meaning, kind, samples) in sums.items():
        metric = Metric(name, meaning, kind)
        for (sample, labels), value in samples.items():
            metric.add_sample(sample, dict(labels), value)
        made.append(metric)
    return made


def render(metrics: Any) -> bytes:
    """The page: `metrics`' own families, those of its share, and all of them under other names.

    Where a service tells a family by such a name itself, the gateway's counts: a name may stand on
    the page once only."""
    from prometheus_client.exposition import generate_latest

    share = metrics.share
    families = list(metrics.collect())
    if share is not None:
        families = merged(families, share.others())

    others = list(aliased(families))
    taken = {family.name for family in others}

    class Page:
        def collect(self) -> Iterable[Any]:
            yield from (family for family in families if family.name not in taken)
            yield from others

    return generate_latest(Page())  # type: ignore[arg-type]


def _plain(family: Any) -> dict[str, Any]:
    samples = [[s.name, dict(s.labels), s.value] for s in family.samples]
    return {
        "name": family.name, "help": family.documentation, "type": family.type, "samples": samples
    }  # fmt: skip


def _born(pid: int) -> str:
    """When a process began, in the system's ticks: a pid alone may be another's later."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return said.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return ""
    try:  # no /proc on this system: the pid must do
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive"
