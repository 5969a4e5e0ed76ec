"""A node on Ray whose replicas are killed while it works: nothing accepted is lost."""

from __future__ import annotations

import importlib.util
import threading
import time

import pytest

from bench.sides.chaos import Chaos
from descent.deploy.clients import RequestError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="ray is not installed: pip install 'descent-ml[ray]'",
    ),
]


def test_kills_lose_no_job_and_no_answer(tmp_path):
    with Chaos(tmp_path, replicas=2) as chaos:
        seen = chaos.run(seconds=8, jobs=60, items=200)
    assert seen.kills >= 4
    assert seen.wrong == 0
    assert seen.not_retryable == 0, seen.statuses
    assert seen.hurried == 0, seen.said
    assert seen.statuses[200] > 50
    assert seen.lost == []
    assert seen.done == len(seen.accepted) == 60
    assert seen.batch["job_status"]["status"] == "succeeded", seen.batch


def test_updates_fail_no_request(tmp_path):
    """Two updates, one that cannot load, a rollback: all answered, none with anything but 200."""
    with Chaos(tmp_path, replicas=1) as chaos:
        until = time.monotonic() + 60
        threads = [threading.Thread(target=chaos._ask, args=(until, n)) for n in range(4)]
        with chaos.client() as client:
            spec = {
                "name": "steady", "kind": "RealtimeAPI", "backend": "ray",
                "service": "chaos_service.py:Twice",
                "pod": {"max_concurrency": 16, "max_queue_length": 1000},
            }  # fmt: skip
            for thread in threads:
                thread.start()
            for number in (1, 2):
                client.deploy({**spec, "timeout_s": 30 + number}, folder=chaos.code)
            with pytest.raises(RequestError, match="Missing"):
                client.deploy({**spec, "service": "chaos_service.py:Missing"}, folder=chaos.code)
            client.rollback("steady")
            time.sleep(0.5)
        chaos.end_of_requests.set()
        for thread in threads:
            thread.join()
        assert set(chaos.seen.statuses) == {200}, chaos.seen.statuses
        assert chaos.seen.wrong == 0
