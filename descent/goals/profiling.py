"""A training step of a run, to be measured: the run's own model, data and settings.

The newest checkpoint is taken up, so that the step is the one training would make next. Nothing is
written to the run folder; the steps made here are lost.
"""

from __future__ import annotations

from typing import Any

from descent.costs.work import Work, model_work
from descent.goals.corpus import TextBatches, load_corpus
from descent.goals.folder import RunError, RunFolder
from descent.goals.items import ItemBatches, load_items
from descent.goals.learning import build_model, make_settings
from descent.train.loop import Batches, Training

__all__ = ["run_training", "run_work"]


def run_training(run: RunFolder, batch: int | None = None) -> Training:
    """The run's training as it stands, as if it went on.

    Args:
        batch: rows of a batch, where not the run's own.

    Raises:
        RunError: a run that was stopped before it had a model, or is damaged.
    """
    if "model" not in run.config or "training" not in run.config:
        raise RunError(
            f"{run.path} is half-written: it has no model yet; run its `descent up` command again"
        )
    about = run.config["model"]
    model = build_model(about["type"], about["config"])
    settings = make_settings(run.config["training"])
    data = _batches(run, model, settings.batch_size, settings.seed)
    training = Training(model, data, settings, run.path, list, list)
    if latest := training.latest():
        training.resume(latest)
    if batch is not None:
        training.batches = _batches(run, model, batch, settings.seed)
    return training


def _batches(run: RunFolder, model: Any, batch: int, seed: int) -> Batches:
    block = model.get_block_size()
    if run.config.get("goal") == "complete":
        return TextBatches(load_corpus(run).train, block, batch, seed)
    if run.config.get("goal") == "names":
        items = load_items(run)
        windows = run.config["model"].get("windows")
        rows = items.windows(items.train, block) if windows else items.rows(items.train)
        about = run.config["model"]["config"]
        batches = ItemBatches(*rows, batch, seed, may_pad=not about.get("batch_norm"))
        batches.one_shape = run.config["training"].get("compile", False)
        return batches
    raise RunError(f"{run.path} is a run of goal {run.config.get('goal')!r}: not one that trains")


def run_work(run: RunFolder, *, batch: int | None = None, training: bool = True) -> Work:
    """One step of the run: its accumulated batches, its clipping, its optimiser."""
    t = run_training(run, batch)
    return model_work(
        run.name,
        t.model,
        t.batches.next,
        optimizer=t.optimizer if training else None,
        clip=t.settings.clip if t.settings.clip is not None else float("inf"),
        accumulate=t.settings.accumulate,
    )
