"""Multiple choice by likelihood: the ending with the least loss per token is the answer.

    loss(e) = −(1 / |e|) Σ_i log p(e_i | context, e_<i)         answer = argmin_e loss(e)

The length-normalised accuracy of EleutherAI's harness (acc_norm) and of llm.c. `sums` gives the
answers without the division as well (acc).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from descent import from_numpy, no_grad
from descent.data.hellaswag import Question

__all__ = ["Accuracy", "choice_accuracy"]


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers: by loss per token, and by the sum of losses."""

    normalised: float
    summed: float
    questions: int


def choice_accuracy(
    model: Any, questions: Sequence[Question], should_stop: Callable[[], bool] = lambda: False
) -> Accuracy:
    """How often the model prefers the right ending. Contexts lose their beginning where the model's
    window is too short."""
    right, right_sum, n, block = 0, 0, 0, model.get_block_size()
    training = model.training
    model.eval()
    try:
        for q in questions:
            if should_stop():
                break
            losses = _losses(model, q, block)
            lengths = np.array([len(e) for e in q.endings])
            right += int(np.argmin(losses / lengths) == q.label)
            right_sum += int(np.argmin(losses) == q.label)
            n += 1
    finally:
        model.train(training)
    return Accuracy(right / max(n, 1), right_sum / max(n, 1), n)


def _losses(model: Any, q: Question, block: int) -> np.ndarray:
    """Summed −log p of each ending [E]: one batch, padded on the right."""
    rows = [(q.context + e)[-(block + 1) :] for e in q.endings]
    T = max(map(len, rows))
    ids = np.zeros((len(rows), T), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    with no_grad():
        logits = model(from_numpy(ids[:, : T - 1]))[0].array.astype(np.float64)  # E T-1 V
    top = logits.max(-1, keepdims=True)
    logp = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    picked = np.take_along_axis(logp, ids[:, 1:, None], -1)[..., 0]  # E T-1
    total = np.zeros(len(rows))
    for i, (row, e) in enumerate(zip(rows, q.endings)):
        size = min(len(e), len(row) - 1)
        total[i] = -picked[i, len(row) - 1 - size : len(row) - 1].sum()
    return total
