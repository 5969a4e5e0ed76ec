"""The model types a user names (`--type`), makemore's among them, and what each stands for.

A type is a kind of `models.building` with some settings; the user's own settings come on top.
"""

from __future__ import annotations

from typing import Any

from descent.goals.folder import RunError

__all__ = ["MODEL_TYPES", "model_type"]

_MAKEMORE = {"n_embd": 64, "n_hidden": 64}

MODEL_TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt": ("gpt", {}),
    "llama": ("llama", {}),
    "transformer": (
        "gpt",
        {"n_layer": 4, "n_head": 4, "n_embd": 64, "tie": False, "init_std": None},
    ),
    "bigram": ("bigram", {}),
    "mlp": ("nplm", {**_MAKEMORE, "init": "default"}),
    "nplm": ("nplm", {}),
    "bow": ("bow", _MAKEMORE),
    "rnn": ("rnn", {**_MAKEMORE, "cell": "rnn"}),
    "gru": ("rnn", {**_MAKEMORE, "cell": "gru"}),
    "lstm": ("rnn", {**_MAKEMORE, "cell": "lstm"}),
    "wavenet": ("wavenet", {}),
    "cnn": ("cnn", {}),
}


def model_type(name: str, sizes: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of model and its settings, `sizes` taking precedence over the type's own.

    Raises:
        RunError: an unknown type; the known ones are listed.
    """
    if name not in MODEL_TYPES:
        raise RunError(f"unknown model type {name!r}; known: {', '.join(MODEL_TYPES)}")
    kind, settings = MODEL_TYPES[name]
    return kind, {**settings, **sizes}
