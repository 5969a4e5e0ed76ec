"""What a job's status is called: Cortex' words, by kind.

Left out: Cortex' "unknown"; a job's status is always known here. `worker_error`, `worker_oom` and
`unexpected_error` come with the failure (`Store.fail(code=…)`, `Store.end_job`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Words", "words"]


@dataclass(frozen=True, slots=True)
class Words:
    """`filling`: not all units are there. `waiting`: none begun. `by_code`: whether a unit's
    failure names the end itself."""

    filling: str
    waiting: str
    working: str
    good: str
    bad: str
    cancelled: str
    timed_out: str
    by_code: bool = False


KINDS = {
    "AsyncAPI": Words(
        "in_queue", "in_queue", "in_progress", "completed", "failed", "cancelled", "failed"
    ),
    "BatchAPI": Words(
        "enqueuing", "running", "running", "succeeded", "completed_with_failures", "stopped",
        "timed_out",
    ),
    "TaskAPI": Words(
        "pending", "pending", "running", "succeeded", "worker_error", "stopped", "timed_out",
        by_code=True,
    ),
}  # fmt: skip


def words(kind: str) -> Words:
    """The words of a kind; a ValueError for one that has no jobs."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} has no jobs; {', '.join(KINDS)} do")
    return KINDS[kind]
