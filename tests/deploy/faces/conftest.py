from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.faces.site import site


@pytest.fixture(scope="session")
def url(tmp_path_factory: Any) -> Iterator[str]:
    """The address of a gateway with APIs of many shapes."""
    with site(Path(tmp_path_factory.mktemp("site"))) as address:
        yield address


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client
