from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from descent.goals.names import NamesOptions
from descent.goals.names import up as up_names
from tests.data.known import some_names
from tests.deploy.faces.site import site


@pytest.fixture(scope="package")  # its thread must not run beside other tests
def url(tmp_path_factory: Any) -> Iterator[str]:
    """The address of a gateway with APIs of many shapes."""
    with site(Path(tmp_path_factory.mktemp("site"))) as address:
        yield address


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def names_run(tmp_path_factory: Any) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    data = runs / "few.txt"
    data.write_text("\n".join(some_names()[:100]) + "\n")
    model = {"n_layer": 1, "n_head": 2, "n_embd": 8}
    list(up_names(NamesOptions(data=str(data), runs=runs, type="transformer", model=model, steps=3,
                               training={"compile": False}, samples=2)))  # fmt: skip
    return runs / "names"
