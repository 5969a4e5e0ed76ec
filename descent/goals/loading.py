"""From a run folder to what is served and explained: model, tokenizer, `Completer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from descent.data.errors import DataError
from descent.data.tokenizers.loading import load_tokenizer
from descent.generate import Completer
from descent.generate.sessions import ModelLanguage
from descent.goals.folder import RunError, RunFolder
from descent.models.building import build
from descent.nn import init
from descent.train.checkpoint import CheckpointError, load_weights

__all__ = ["as_completer", "load_completer", "load_model"]


def load_model(run: RunFolder) -> tuple[Any, Any]:
    """The model with its best weights, in eval mode, and the tokenizer.

    Raises:
        RunError: a missing or damaged file, or weights of another model.
    """
    run.need("tokenizer.json", "model.safetensors")
    try:
        tokenizer = load_tokenizer(run.tokenizer)
        with init.without_values():
            model = build(run.config["model"]["type"], run.config["model"]["config"])
        load_weights(run.weights, model)
    except (DataError, CheckpointError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"the run folder {run.path} can't be loaded: {error}") from None
    model.eval()
    return model, tokenizer


def as_completer(run: RunFolder, model: Any, tokenizer: Any, *, width: Any = None) -> Completer:
    """The served form of a model: its name, its end token, what is known of it.

    `width`: how the weights are kept for generation ("float32", "bf16", "int8", "int4").
    """
    goal = run.config.get("goal", "complete")
    names = goal == "names"
    end = 0 if names else tokenizer.special_tokens.get("<|endoftext|>")
    known = run.config.get("about", {}).get("eos_ids") or []  # of a model that was fine-tuned
    ends = [int(i) for i in known] or ([] if end is None else [end])
    info = {
        "kind": goal,
        "model": run.config["model"]["type"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "explain": True,
        "page": {"max_tokens": 24, "temperature": 1.0 if names else 0.5},
        **run.config.get("results", {}),
    }
    return Completer(
        name=run.name,
        created=run.config["created"],
        model=ModelLanguage(
            model, run.config["model"]["config"]["vocab_size"], width=width or "float32"
        ),
        tokenizer=tokenizer,
        eos_ids=ends,
        bos_id=end if names else None,
        info=info,
        overflow="slide",  # a small context: of a long file only the end is read
    )


def load_completer(path: str | Path) -> tuple[Completer, RunFolder, Any]:
    """A run folder as a completer, with the folder and the model itself."""
    run = RunFolder.open(path)
    model, tokenizer = load_model(run)
    return as_completer(run, model, tokenizer), run, model
