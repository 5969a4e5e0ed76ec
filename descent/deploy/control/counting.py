"""What there is to count about the node itself, for Prometheus.

descent_node_info{version} · descent_node_ready · descent_home_free_bytes
descent_log_lines_dropped_total · process_* (memory, processor, files; prometheus_client's own)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from descent import __version__

__all__ = ["NodeCollector"]


class NodeCollector:
    """`ready`: whether /readyz says 200; `dropped`: lines that could not be written."""

    def __init__(self, home: Path, ready: Callable[[], bool], dropped: Callable[[], int]) -> None:
        self._home, self._ready, self._dropped = home, ready, dropped
        self._process: Any = None

    def collect(self) -> Iterator[Any]:
        """Families of prometheus_client."""
        from prometheus_client import ProcessCollector
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        info = GaugeMetricFamily("descent_node_info", "1; which version runs", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield GaugeMetricFamily("descent_node_ready", "1 where /readyz says 200", self._ready())
        free = _free_bytes(self._home)
        if free is not None:
            yield GaugeMetricFamily(
                "descent_home_free_bytes", "Left on the disk of the home folder", free
            )
        yield CounterMetricFamily(
            "descent_log_lines_dropped", "Lines of the access log not written", self._dropped()
        )
        if self._process is None:
            self._process = ProcessCollector(registry=None)
        yield from self._process.collect()


def _free_bytes(folder: Path) -> int | None:
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):  # Windows has none
        return None
    return found.f_bavail * found.f_frsize
