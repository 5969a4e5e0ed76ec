"""Requests and jobs on Ray while a replica is killed (-9) every second.

The bar is Ray's own long-running failure test (an actor killed each second) with more asked of it:
no accepted job lost, no wrong answer, and failures only with codes that say "try again" (429, 502,
503, 504). "seconds per step" is per request. Bounded: 30 s of load.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.compare import Result
from bench.sides.chaos import Chaos, Seen
from bench.turns import machine_lock

__all__ = ["run"]

SECONDS, JOBS, ITEMS = 30.0, 1000, 5_000


def run() -> list[Result]:
    """One table of one side."""
    with tempfile.TemporaryDirectory(prefix="descent-bench-") as folder:
        with machine_lock(), Chaos(Path(folder)) as chaos:
            return [_result(chaos.run(SECONDS, JOBS, ITEMS))]


def _result(seen: Seen) -> Result:
    requests = sum(seen.statuses.values())
    failed = {status: n for status, n in sorted(seen.statuses.items()) if status != 200}
    batch = seen.batch["job_status"]
    notes = (
        f"replicas killed: {seen.kills}; requests {requests:,}, failed {failed or 'none'}, "
        f"of these not retryable {seen.not_retryable}, wrong answers {seen.wrong}",
        f"jobs accepted {len(seen.accepted):,}, completed with the right result {seen.done:,}",
        f"batch of {ITEMS:,} items: {batch['status']}",
    )
    title = f"Ray, a replica killed each second for {SECONDS:.0f} s"
    bad = seen.not_retryable + seen.wrong + len(seen.lost)
    per_request = {"descent": SECONDS / max(1, requests)}
    return Result(title, per_request, {"descent": float(bad)}, notes=notes)
