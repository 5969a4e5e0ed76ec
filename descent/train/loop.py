"""The training loop, top to bottom.

    repeat:  x, y ← next batch;  loss ← model(x, y);  ∇ ← backward(loss);  weights ← optimiser(∇)

`train` is a generator: it yields what happened (`Stepped`, `Evaluated`, `Saved`, `Finished`) and
whoever runs it shows that as they like. Everything that decides the next step is in the checkpoint
(weights, moments, random generator, data position, step), so an interrupted and resumed run ends
with the same bits as an uninterrupted one. A loss that is not finite stops the run with the name of
the first op that made it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from descent import nn, optim
from descent.train.checkpoint import load_checkpoint, save_checkpoint, save_weights
from descent.train.metrics import MetricsFile, evaluate
from descent.train.nonfinite import explain_nonfinite
from descent.train.passes import Passes
from descent.train.settings import TrainSettings, learning_rate

__all__ = [
    "Batches", "Compiled", "Evaluated", "Finished", "Saved", "Stepped", "Training",
    "make_optimizer",
]  # fmt: skip

Batch = tuple[np.ndarray, np.ndarray]


class Batches(Protocol):
    """Where training batches come from; its state makes a resumed run see the same ones."""

    def next(self) -> Batch: ...
    def state(self) -> dict[str, Any]: ...
    def load_state(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Compiled:
    """After the first step: how long it took to compile, or why it runs uncompiled."""

    seconds: float
    why_not: str = ""


@dataclass(frozen=True)
class Stepped:
    """One optimiser step was made."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Evaluated:
    """The model was measured on fixed training and validation windows."""

    step: int
    train_loss: float
    val_loss: float
    best: bool


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    step: int
    path: Path


@dataclass(frozen=True)
class Finished:
    """The run ended: "done", "stopped" (asked to) or "patience" (no improvement)."""

    step: int
    reason: str
    best_val_loss: float


def make_optimizer(model: nn.Module, s: TrainSettings) -> optim.Optimizer:
    """AdamW with decay on matrices only, or SGD; over the parameters that are not frozen."""
    params = [p for p in model.parameters() if p.requires_grad]
    if s.optimizer == "sgd":
        return optim.SGD(
            params, lr=s.learning_rate, momentum=s.momentum, weight_decay=s.weight_decay
        )
    groups = [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": s.weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]
    return optim.AdamW(
        [g for g in groups if g["params"]], lr=s.learning_rate, betas=(s.beta1, s.beta2)
    )


@dataclass
class Training:
    """A run in progress. `folder` receives checkpoints, weights and metrics."""

    model: nn.Module
    batches: Batches
    settings: TrainSettings
    folder: Path
    train_eval: Callable[[], Iterable[Batch]]
    val_eval: Callable[[], Iterable[Batch]]
    should_stop: Callable[[], bool] = lambda: False
    facts: dict[str, str] = field(default_factory=dict)  # metadata of the weights file
    write_best: Callable[[], None] | None = None  # instead of model.safetensors (adapters, say)
    step: int = 0
    first_step: int = 0  # where the current learning-rate schedule began
    best_val_loss: float = float("inf")
    stale: int = 0  # evaluations since the best one

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self.checkpoints = self.folder / "checkpoints"
        self.metrics = MetricsFile(self.folder / "metrics.jsonl")
        self.optimizer = make_optimizer(self.model, self.settings)
        self.shapes: list[list[int]] = []  # of the batches met: see `Passes`
        self._passes: Passes | None = None

    # -- going on ----------------------------------------------------------------------------

    def latest(self) -> Path | None:
        """The newest whole checkpoint of the folder."""
        found = sorted(self.checkpoints.glob("step-*.safetensors"))
        return found[-1] if found else None

    def resume(self, path: Path) -> None:
        """Take up a checkpoint: weights, moments, random generator, data position, schedule."""
        progress = load_checkpoint(path, model=self.model, optimizer=self.optimizer)
        self.batches.load_state(progress["data"])
        self.step, self.first_step = progress["step"], progress["first_step"]
        self.best_val_loss, self.stale = progress["best_val_loss"], progress["stale"]
        self.shapes[:] = progress.get("shapes", [])

    def save(self) -> Path:
        """Write a checkpoint and remove all but the newest `keep`."""
        progress = {
            "step": self.step,
            "first_step": self.first_step,
            "best_val_loss": self.best_val_loss,
            "stale": self.stale,
            "shapes": self.shapes,
            "data": self.batches.state(),
            "settings": self.settings.to_dict(),
        }
        path = self.checkpoints / f"step-{self.step:08d}.safetensors"
        save_checkpoint(path, model=self.model, optimizer=self.optimizer, progress=progress)
        for old in sorted(self.checkpoints.glob("step-*.safetensors"))[: -self.settings.keep]:
            old.unlink()
        return path

    # -- the loop ----------------------------------------------------------------------------

    def run(self) -> Iterator[Compiled | Stepped | Evaluated | Saved | Finished]:
        """Train until `max_steps`, until asked to stop, or until patience runs out."""
        s, reason, saved_at, told = self.settings, "done", self.step, False
        self.model.train()
        while self.step < s.max_steps:
            if self.should_stop():
                reason = "stopped"
                break
            made = self.one_step()
            if self.passes.step is not None and not told:
                told, step = True, self.passes.step
                yield Compiled(step.seconds_compiling, step.refused or "")
            yield made
            if self.step % s.eval_every == 0 or self.step == s.max_steps:
                yield self.measure()
                if s.patience is not None and self.stale >= s.patience:
                    reason = "patience"
                    break
            if self.step % s.save_every == 0:
                yield Saved(self.step, self.save())
                saved_at = self.step
        if saved_at != self.step:
            yield Saved(self.step, self.save())
        yield Finished(self.step, reason, self.best_val_loss)

    @property
    def passes(self) -> Passes:
        """Forward and backward passes as the settings want them."""
        s = self.settings
        if self._passes is None or (self._passes.step is not None) != s.compile:
            self._passes = Passes(
                self.model, clip=s.clip, accumulate=s.accumulate, compiled=s.compile,
                shapes=self.shapes,
            )  # fmt: skip
        return self._passes

    def one_step(self) -> Stepped:
        """One update from `accumulate` batches, their gradients averaged."""
        s, began, total, tokens = self.settings, time.perf_counter(), 0.0, 0
        lr = learning_rate(self.step, s, self.first_step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.passes.begin()
        for _ in range(s.accumulate):
            x, y = self.batches.next()
            value = self.passes.add(x, y)
            if not np.isfinite(value):
                explain_nonfinite(self.model, x, y, self.step)
            total += value / s.accumulate
            padded = x.shape == y.shape  # targets below 0: what only fills a batch up
            tokens += int(np.count_nonzero(y >= 0)) if padded else x.size
        norm = self.passes.clip()
        if not np.isfinite(norm):
            explain_nonfinite(self.model, x, y, self.step)
        self.optimizer.step()
        self.step += 1
        return Stepped(self.step, total, lr, norm, tokens, time.perf_counter() - began)

    def measure(self) -> Evaluated:
        """Evaluate, log, and keep the weights when the validation loss is the best so far."""
        train_loss = evaluate(self.model, self.train_eval())
        val_loss = evaluate(self.model, self.val_eval())
        best = val_loss < self.best_val_loss
        if best:
            self.best_val_loss, self.stale = val_loss, 0
            if self.write_best is not None:
                self.write_best()
            else:
                save_weights(self.folder / "model.safetensors", self.model, self.facts)
        else:
            self.stale += 1
        self.metrics.append(step=self.step, train_loss=train_loss, val_loss=val_loss)
        return Evaluated(self.step, train_loss, val_loss, best)
