"""What comes out of an engine besides steps: finished completions, and where the engine stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from descent.generate.writing import Step

__all__ = ["Completion", "Stats", "best"]


@dataclass(frozen=True)
class Stats:
    """Where an engine stands. `cache_use`: share of the blocks that running sequences hold."""

    running: int
    waiting: int
    cache_use: float
    prefix_tokens_asked: int
    prefix_tokens_found: int
    preempted: int
    prompt_tokens: int
    generated_tokens: int
    guessed_tokens: int
    accepted_guesses: int
    turns: int


@dataclass(frozen=True)
class Completion:
    """One finished text. `logprob`: the sum over its tokens, None unless `logprobs` was set."""

    text: str
    ids: tuple[int, ...]
    finish_reason: str
    logprob: float | None
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Completion:
        """From the steps of one handle."""
        made = tuple(step for step in steps if not step.prompt)
        known = [step.logprob for step in made if step.logprob is not None]
        return cls(
            text="".join(step.text for step in steps),  # an echoed prompt is part of it
            ids=tuple(step.id for step in made),
            finish_reason=(made[-1].finish_reason if made else None) or "length",
            logprob=float(np.sum(known)) if known else None,
            steps=tuple(steps),
        )


def best(completions: Sequence[Completion], n: int) -> list[Completion]:
    """The n of the highest mean log-probability, best first (as many as there are: in order)."""
    if len(completions) <= n:
        return list(completions)
    return sorted(completions, key=lambda c: (c.logprob or 0.0) / max(len(c.ids), 1), reverse=True)[
        :n
    ]
