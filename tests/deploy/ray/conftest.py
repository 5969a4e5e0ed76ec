"""One Ray for all tests of this folder: started by `LocalCluster`, ended by it."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.sides.chaos import ends_with_me
from descent.deploy.cluster.local import LocalCluster
from descent.deploy.pool import Context, Start
from descent.deploy.spec import RealtimeSpec
from descent.deploy.spec.containers import Compute, Container
from descent.deploy.spec.sections import Autoscaling, Pod

SERVICE = """
import asyncio, os, sys, time
from pathlib import Path

class Service:
    def __init__(self, config):
        self.config = config
    def load(self):
        if self.config.get("broken"):
            raise RuntimeError("the weights are missing")
        print("loaded in process", os.getpid())
    async def predict(self, value):
        if value == "pid":
            return os.getpid()
        if value == "die":
            os.kill(os.getpid(), 9)
        if isinstance(value, dict) and "sleep" in value:
            try:
                await asyncio.sleep(value["sleep"])
            except asyncio.CancelledError:
                Path(value["file"]).write_text("cancelled")
                raise
        return value

class Stream:
    async def predict(self, count: int):
        for n in range(count):
            yield {"n": n}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "cluster" in getattr(
            item, "fixturenames", ()
        ):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'descent-ml[ray]'")
    home = tmp_path_factory.mktemp("home")
    local, watch = LocalCluster(home), ends_with_me(home)
    try:
        local.up()
        yield local
    finally:
        local.down()
        watch.communicate()


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., Any]:
    """`started("Service", replicas=2, …)`: a `Start`, with the lines of its log."""
    (tmp_path / "service.py").write_text(SERVICE)

    def start(
        name: str = "Service",
        replicas: int = 1,
        concurrency: int = 8,
        compute: Compute | None = None,
        **config: Any,
    ) -> Any:
        containers = [] if compute is None else [Container(name="api", compute=compute)]
        spec = RealtimeSpec(
            name="sorter",
            service=f"service.py:{name}",
            pod=Pod(max_concurrency=concurrency, containers=containers),
            autoscaling=Autoscaling(min_replicas=replicas),
            config=config,
        )
        lines: list[str] = []

        def log(line: str, **fields: Any) -> None:
            lines.append(line)

        return SimpleNamespace(start=Start(spec, 1, tmp_path, log), lines=lines)

    return start


def context(**fields: Any) -> Context:
    return Context("r1", "sorter", 1, **fields)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
