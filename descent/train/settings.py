"""How a run trains: one frozen record of settings, and the learning rate at each step.

The curves themselves are `descent.optim.schedule`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from descent.optim.schedule import cosine_with_warmup, inverse_sqrt, warmup_stable_decay

__all__ = ["TrainSettings", "learning_rate"]

SCHEDULES = ("cosine", "constant", "linear", "wsd", "step", "inverse_sqrt")


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run; the defaults suit a small Transformer on a laptop.

    `accumulate` batches make one step, their gradients averaged. `eval_every`, `save_every` count
    steps. `patience`: stop after so many evaluations without a better validation loss (None:
    never). `decay_at`: for the "step" schedule, the step after which lr is a tenth. `decay_steps`:
    where the other schedules end, if not at `max_steps`. `compile`: run the forward and backward
    pass as one compiled program.
    """

    max_steps: int = 1000
    batch_size: int = 16
    accumulate: int = 1
    optimizer: str = "adamw"  # or "sgd"
    learning_rate: float = 1e-3
    min_lr_ratio: float = 0.1
    warmup_steps: int = 50
    schedule: str = "cosine"
    decay_steps: int | None = None
    decay_at: int = 0
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    momentum: float = 0.0
    clip: float | None = 1.0
    eval_every: int = 250
    eval_batches: int = 40
    save_every: int = 250
    keep: int = 2
    patience: int | None = None
    seed: int = 1337
    compile: bool = True

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "accumulate", "eval_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more: got {self.seed}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate must be positive: got {self.learning_rate}")
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"schedule must be one of {', '.join(SCHEDULES)}: got {self.schedule!r}"
            )
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"optimizer must be adamw or sgd: got {self.optimizer!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainSettings:
        """From saved values; unknown names are an error that lists them."""
        known = {f.name for f in fields(cls)}
        if extra := set(values) - known:
            raise ValueError(f"unknown training settings {sorted(extra)}; known: {sorted(known)}")
        return cls(**values)


def learning_rate(step: int, s: TrainSettings, first_step: int = 0) -> float:
    """The learning rate of step `step` (0-based) in a segment that began at `first_step`.

    "wsd" falls over the last fifth; "step" is a tenth of the rate from `decay_at` on; "linear"
    falls from the end of the warm-up; "constant" only warms up; "inverse_sqrt" is the 2017
    Transformer's, which knows no end and no floor: it goes on where a segment ended.
    """
    if s.schedule == "inverse_sqrt":
        return inverse_sqrt(step, peak=s.learning_rate, warmup=s.warmup_steps)
    t, total = step - first_step, max(1, (s.decay_steps or s.max_steps) - first_step)
    warmup, peak = min(s.warmup_steps, total // 2), s.learning_rate
    floor = s.min_lr_ratio * peak
    if s.schedule == "cosine":
        return cosine_with_warmup(t, peak=peak, total=total, warmup=warmup, floor=floor)
    decay = {"wsd": total // 5, "linear": total - warmup}.get(s.schedule, 0)
    rate = warmup_stable_decay(t, peak=peak, total=total, warmup=warmup, decay=decay, floor=floor)
    return 0.1 * rate if s.schedule == "step" and step >= s.decay_at else rate
