"""The forward and backward pass of a batch: compiled, or op by op.

    loss, ‖∇‖ ← clip(backward(model(x, y)))        as one compiled program (`descent.compile`)

A run that is interrupted and resumed ends with the same bits, so what is compiled follows from what
the run has met alone: the shape of its first batch at once, two more shapes when they come a second
time (the last batch of an epoch, say), nothing else. The shapes are part of the checkpoint.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from descent import from_numpy, nn
from descent.compiler.step import Step
from descent.compiler.step import compile as compile_step

__all__ = ["MOST_SHAPES", "Passes"]

MOST_SHAPES = 3


class Passes:
    """Adds up gradients of batches, then bounds them.

    Args:
        clip: the largest norm of all gradients together; None: they are left as they are.
        accumulate: batches per step; their gradients are averaged.
        shapes: those of the batches met so far, to which new ones are appended.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        clip: float | None,
        accumulate: int,
        compiled: bool,
        shapes: list[list[int]],
    ) -> None:
        self.model, self.accumulate, self.shapes = model, accumulate, shapes
        self.parameters = list(model.parameters())
        self.most = clip if clip is not None else math.inf
        self.step: Step | None = self._whole() if compiled else None
        self.norm: Any = None  # of the gradients, where the program has worked it out

    def _whole(self) -> Step:
        """A single batch is clipped in the same program; several are when all are added up."""
        model, parameters, most, n = self.model, self.parameters, self.most, self.accumulate

        def training_step(x: Any, y: Any) -> Any:
            _, loss = model(x, y)
            if n > 1:
                (loss / n).backward()
                return loss, None
            loss.backward()
            return loss, nn.utils.clip_grad_norm_(parameters, most)

        return compile_step(training_step)

    def add(self, x: np.ndarray, y: np.ndarray) -> float:
        """Add the gradients of a batch; its loss. After a loss that is not finite they are void."""
        if self.step is not None and self._known(x.shape):
            loss, self.norm = self.step(from_numpy(x), from_numpy(y))
            return float(loss.item())
        self.norm = None
        _, loss = self.model(from_numpy(x), from_numpy(y))
        value = float(loss.item())
        if math.isfinite(value):
            (loss / self.accumulate if self.accumulate > 1 else loss).backward()
        return value

    def _known(self, shape: tuple[int, ...]) -> bool:
        """Whether batches of this shape run compiled, now that one more is here."""
        sizes = list(shape)
        if sizes in self.shapes:
            return True
        if len(self.shapes) < MOST_SHAPES:
            self.shapes.append(sizes)
        return self.shapes[0] == sizes

    def clip(self) -> float:
        """Scale the gradients to the norm allowed; the norm they had."""
        if self.norm is None:
            self.norm = nn.utils.clip_grad_norm_(self.parameters, self.most)
        return float(self.norm)
