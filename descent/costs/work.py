"""The work to be profiled: a training step in its parts.

    loss ← forward();  gradients ← backward(loss), walked by the profiler;  finish(): the updates

`forward` draws its batch itself, so that every repetition is a step like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from descent import from_numpy, nn, optim
from descent.costs.opcost import Cost
from descent.costs.updates import clip_cost, update_cost

__all__ = ["Part", "Work", "model_work"]


@dataclass(frozen=True)
class Part:
    """Something done as a whole after the backward pass; `cost()` says how much it is."""

    name: str
    run: Callable[[], Any]
    cost: Callable[[], Cost]


@dataclass(frozen=True)
class Work:
    """A step of `accumulate` batches, then `parts` in order. Without `parts`: inference alone.

    Attributes:
        tokens: predictions a step is trained on (what tokens/s counts).
        step, batches: the same step as one function of the batches it is made on (to compile it).
    """

    name: str
    model: nn.Module
    forward: Callable[[], Any]
    parts: Sequence[Part] = ()
    tokens: int = 0
    accumulate: int = 1
    optimizer: optim.Optimizer | None = None
    batch: str = ""
    step: Callable[[Any], Any] | None = None
    batches: Callable[[], Any] = list

    def lasting(self) -> list[np.ndarray]:
        """Arrays alive between steps: weights, buffers, moments, gradients that were kept."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        arrays = [t.array for t in tensors]
        arrays += [t.grad.array for t in tensors if t.grad is not None]
        if self.optimizer is not None:
            slots = chain.from_iterable(s.values() for s in self.optimizer.state.values())
            arrays += [s.array for s in slots if hasattr(s, "array")]
        return arrays


def model_work(
    name: str,
    model: nn.Module,
    batch: Callable[[], tuple[np.ndarray, np.ndarray]],
    *,
    optimizer: optim.Optimizer | None = None,
    clip: float | None = None,
    accumulate: int = 1,
) -> Work:
    """A step of a model that gives `(logits, loss)`; without an optimiser, inference alone.

    Args:
        batch: the next x and y, token ids.
        clip: the largest norm of all gradients together (None: they are left as they are).
    """
    x, y = batch()

    def forward() -> Any:
        inputs, targets = batch()
        logits, loss = model(from_numpy(inputs), from_numpy(targets))
        return loss if optimizer is not None else logits

    def batches() -> list[tuple[Any, Any]]:
        return [tuple(map(from_numpy, batch())) for _ in range(accumulate)]

    parts = [] if optimizer is None else update_parts(model, optimizer, clip)
    step = None if optimizer is None else _whole_step(model, parts, accumulate)
    model.train(optimizer is not None)
    return Work(
        name, model, forward, parts, int((y >= 0).sum()) * accumulate, accumulate, optimizer,
        f"batch {'×'.join(map(str, x.shape))}", step, batches,
    )  # fmt: skip


def _whole_step(model: nn.Module, parts: Sequence[Part], accumulate: int) -> Callable[[Any], Any]:
    def step(batches: Any) -> Any:
        loss = None
        for x, y in batches:
            _, loss = model(x, y)
            (loss / accumulate if accumulate > 1 else loss).backward()
        for part in parts:
            part.run()
        return loss

    return step


def update_parts(model: nn.Module, optimizer: optim.Optimizer, clip: float | None) -> list[Part]:
    """What follows the backward pass: clipping, the optimiser, forgetting the gradients."""
    parameters = list(model.parameters())
    parts = []
    if clip is not None:
        parts.append(
            Part(
                "clip_grad_norm",
                lambda: nn.utils.clip_grad_norm_(parameters, clip),
                lambda: clip_cost(parameters),
            )
        )
    kind = type(optimizer).__name__
    parts.append(Part(kind, optimizer.step, lambda: update_cost(optimizer)))
    return [*parts, Part("zero_grad", optimizer.zero_grad, lambda: Cost(0, 0))]
