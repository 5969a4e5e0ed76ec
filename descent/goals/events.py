"""What a goal reports while it works, besides the events of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "Compared", "ItemsSampled", "LossTable", "Planned", "Ready", "Said", "Sampled", "SideBySide",
]  # fmt: skip


@dataclass(frozen=True)
class Said:
    """A sentence about what was done."""

    text: str


@dataclass(frozen=True)
class Planned:
    """Training is about to begin: from which step to which, in how many seconds.

    Without `nats_to_bits_per_byte`, losses are shown as perplexities beside the nats.
    """

    first_step: int
    max_steps: int
    seconds: float | None
    parameters: int
    nats_to_bits_per_byte: float | None


@dataclass(frozen=True)
class Sampled:
    """The model wrote something."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class Compared:
    """The model beside the count baseline, on the same held-out text, in the same units."""

    baseline: str
    baseline_bits_per_byte: float
    model_bits_per_byte: float


@dataclass(frozen=True)
class LossTable:
    """Models side by side on the same split: (name, train, dev, test) in the same unit."""

    unit: str
    rows: tuple[tuple[str, float, float, float], ...]


@dataclass(frozen=True)
class ItemsSampled:
    """What the model made up, by where it is known from."""

    step: int
    in_train: tuple[str, ...]
    in_test: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Ready:
    """The run folder is complete and can be served."""

    run: Any
    model: Any
    tokenizer: Any


@dataclass(frozen=True)
class SideBySide:
    """A model before and after fine-tuning: losses in nats per token, and what it writes.

    `held_out`: the loss is over text it has not learned from.
    """

    prompt: str
    loss_before: float
    loss_after: float
    nats_to_bits_per_byte: float | None
    before: tuple[str, ...]
    after: tuple[str, ...]
    held_out: bool
