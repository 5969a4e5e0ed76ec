"""A node on Ray whose replicas are killed while it works: nothing accepted is lost."""

from __future__ import annotations

import importlib.util

import pytest

from bench.sides.chaos import Chaos


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed: pip install 'descent-ml[ray]'",
)
def test_kills_lose_no_job_and_no_answer(tmp_path):
    with Chaos(tmp_path, replicas=2) as chaos:
        seen = chaos.run(seconds=8, jobs=60, items=200)
    assert seen.kills >= 4
    assert seen.wrong == 0
    assert seen.not_retryable == 0, seen.statuses
    assert seen.statuses[200] > 50
    assert seen.lost == []
    assert seen.done == len(seen.accepted) == 60
    assert seen.batch["job_status"]["status"] == "succeeded", seen.batch
