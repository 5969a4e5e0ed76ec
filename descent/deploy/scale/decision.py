"""What an autoscaler decided, and why, in words a person can check with a pencil."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Decision", "number"]


@dataclass(frozen=True)
class Decision:
    """One tick: from `current` replicas, the load alone would have `recommended`, and `target` is
    what is asked for. `in_flight` is the measured load, None before there is any."""

    current: int
    recommended: int
    target: int
    reasons: tuple[str, ...]
    in_flight: float | None = None

    def __str__(self) -> str:
        change = f"{self.current} → {self.target}"
        head = change if self.target != self.current else f"{self.current} stays"
        return f"{head}: " + "; ".join(self.reasons)

    def as_json(self) -> dict[str, Any]:
        """The fields and the sentence, for `describe` and the control API."""
        return {**asdict(self), "reasons": list(self.reasons), "text": str(self)}


def number(value: float) -> str:
    """A quantity as one writes it in a sentence: 6.2, 12.4, 0.333, 1,250."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
