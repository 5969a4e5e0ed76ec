from __future__ import annotations

import time

import httpx
import pytest

from descent.serve import background_server
from tests.count_models import code_completer, name_completer


@pytest.fixture(scope="package")  # its thread must not run beside other tests
def url():
    """A real server on a free port, with a code and a name completer; shared by most tests."""
    with background_server([code_completer(), name_completer()]) as address:
        yield address


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """One sample of /metrics; 0 where it has not been counted yet."""
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    for line in client.get("/metrics").text.splitlines():
        found, _, rest = line.partition("{") if "{" in line else line.partition(" ")
        if found == name and all(label in rest for label in wanted):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def eventually(condition, timeout_s: float = 20.0):
    """Poll until `condition()` is true; the bound only ends a test that has failed anyway."""
    end = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)
    return result
