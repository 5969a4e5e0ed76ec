"""`descent.finetune(model, data, …)`: fine-tuning as one Python call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descent.goals.before_after import write_text
from descent.goals.events import Ready
from descent.goals.finetune import FinetuneOptions, up
from descent.goals.folder import RunError, RunFolder
from descent.train.finetune import FinetuneSettings

__all__ = ["Finetuned", "finetune"]


@dataclass
class Finetuned:
    """The result of `finetune`: the run folder, the model in eval mode, and its losses."""

    run: RunFolder
    model: Any
    tokenizer: Any
    loss_before: float
    loss_after: float

    def write(self, prompt: str = "", *, seed: int = 0, **settings: Any) -> str:
        """What it writes after `prompt`; settings: `sample_tokens`, `temperature`."""
        s = FinetuneSettings(**settings)
        return write_text(self.model, self.tokenizer, prompt, s, seed=seed)


def finetune(
    model: str, data: str | list[str], *, name: str | None = None, runs: str | Path = "runs",
    fresh: bool = False, show: Callable[[Any], None] | None = None, **settings: Any,
) -> Finetuned:  # fmt: skip
    """Fine-tune `model` on `data`; the same as `descent finetune`, with the same defaults.

    Args:
        model: a run folder, a model's folder or file (Hugging Face, GGUF …), or a known name.
        data: a file, folder, glob or list of these.
        name, runs, fresh: the run folder `runs/name`; it goes on where it stopped unless `fresh`.
        show: called with every event (losses, samples, …); None: silent.
        settings: fields of `descent.train.finetune.FinetuneSettings`.

    Raises:
        RunError, DataError: what was wrong, where, and what would be right.
        ValueError: unknown or impossible settings.
    """
    options = FinetuneOptions(
        model, data, FinetuneSettings.from_dict(settings), name, Path(runs), fresh
    )
    ready = None
    for event in up(options):
        ready = event
        if show is not None:
            show(event)
    if not isinstance(ready, Ready):
        raise RunError("the run was stopped before its first evaluation")
    config = ready.run.config
    return Finetuned(
        ready.run, ready.model, ready.tokenizer, config["before"]["loss"], config["after"]["loss"]
    )
