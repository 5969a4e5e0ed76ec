"""How a run trains: one frozen record of settings, and the learning rate at each step.

    lr(t) = lr · t/w                                     t < w            (warm-up)
    lr(t) = lr · (m + (1 − m)(1 + cos π(t−w)/(T−w))/2)    then            (cosine to m · lr)

Cosine: Loshchilov & Hutter 2017, arXiv:1608.03983. WSD (warm-up, stable, decay): Hu et al. 2024,
arXiv:2404.06395.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["TrainSettings", "learning_rate"]

SCHEDULES = ("cosine", "constant", "linear", "wsd", "step")


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training run; the defaults suit a small Transformer on a laptop.

    `accumulate` batches make one step, their gradients averaged. `eval_every`, `save_every` count
    steps. `patience`: stop after so many evaluations without a better validation loss (None:
    never). `decay_at`: for the "step" schedule, the step after which lr is a tenth.
    """

    max_steps: int = 1000
    batch_size: int = 16
    accumulate: int = 1
    optimizer: str = "adamw"  # or "sgd"
    learning_rate: float = 1e-3
    min_lr_ratio: float = 0.1
    warmup_steps: int = 50
    schedule: str = "cosine"
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
    """The learning rate of step `step` (0-based) in a segment that began at `first_step`."""
    t, total = step - first_step, max(1, s.max_steps - first_step)
    warmup = min(s.warmup_steps, total // 2)
    if t < warmup:
        return s.learning_rate * (t + 1) / (warmup + 1)
    left = (t - warmup) / max(1, total - warmup)  # 0 … 1
    m = s.min_lr_ratio
    if s.schedule == "cosine":
        return s.learning_rate * (m + (1 - m) * 0.5 * (1 + math.cos(math.pi * min(left, 1.0))))
    if s.schedule == "linear":
        return s.learning_rate * (m + (1 - m) * max(0.0, 1 - left))
    if s.schedule == "wsd":
        return s.learning_rate * min(1.0, max(m, (1 - left) / 0.2))
    if s.schedule == "step":
        return s.learning_rate * (0.1 if step >= s.decay_at else 1.0)
    return s.learning_rate
