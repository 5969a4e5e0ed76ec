"""What a running service says of its progress: `report(0.4)`, `report({"page": 3, "of": 7})`.

Kept for whoever asks for the job (GET /<api>/<id>). A service in another process posts the same to
/<api>/<id>/progress. At most twice a second reach the store; what is said in an
attempt's last half second may not: its result says more.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

__all__ = ["report", "reporter"]

reporter: contextvars.ContextVar[Callable[[Any], None] | None] = contextvars.ContextVar(
    "descent_job_progress", default=None
)


def report(progress: Any) -> None:
    """Say how far the work on this unit is, in anything JSON can hold; free outside a job."""
    tell = reporter.get()
    if tell is not None:
        tell(progress)
