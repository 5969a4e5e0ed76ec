"""The forward and backward pass of a batch: compiled, or op by op.

    loss ← model(x, y);  ∇ ← ∇ + backward(loss)        as one compiled program (`descent.compile`)

Clipping and the optimiser come after, each a pass over the weights that is compiled anyway: so a
loss or a gradient that is not finite changes nothing, and there is less to compile.

A run that is interrupted and resumed ends with the same bits, so what is compiled follows from what
the run has met alone: the shape of its first batch at once, two more shapes when they come a second
time (the last batch of an epoch, say), nothing else. The shapes are part of the checkpoint.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from descent import from_numpy, nn, zeros_like
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
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.most = clip if clip is not None else math.inf
        self.step: Step | None = self._whole() if compiled else None

    def _whole(self) -> Step:
        model, n = self.model, self.accumulate

        def training_step(x: Any, y: Any) -> Any:
            _, loss = model(x, y)
            (loss / n if n > 1 else loss).backward()
            return loss

        return compile_step(training_step)

    def begin(self) -> None:
        """Forget the gradients. Zeros where several are added up by a program: one, not two."""
        zeros = self.step is not None and self.accumulate > 1
        for p in self.parameters:
            if not zeros:
                p.grad = None
            elif p.grad is None:
                p.grad = zeros_like(p)
            else:
                p.grad.array[...] = 0

    def add(self, x: np.ndarray, y: np.ndarray) -> float:
        """Add the gradients of a batch; its loss. After a loss that is not finite they are void."""
        if self.step is not None and self._known(x.shape):
            return float(self.step(from_numpy(x), from_numpy(y)).item())
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
        return float(nn.utils.clip_grad_norm_(self.parameters, self.most))
