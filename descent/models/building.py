"""The models by name, listed by hand, and building one from a run folder's config."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from descent.models.gpt import GPT, GPTConfig

__all__ = ["MODELS", "build"]

MODELS: dict[str, tuple[type, type]] = {
    "gpt": (GPTConfig, GPT),
}


def build(kind: str, config: dict[str, Any]) -> Any:
    """An untrained model of type `kind`.

    Raises:
        ValueError: an unknown type (the known ones are listed) or an unknown setting.
    """
    if kind not in MODELS:
        raise ValueError(f"unknown model type {kind!r}; known: {', '.join(MODELS)}")
    config_class, model_class = MODELS[kind]
    known = {f.name for f in fields(config_class)}
    if extra := set(config) - known:
        raise ValueError(f"{kind} has no setting {sorted(extra)}; it has {sorted(known)}")
    return model_class(config_class(**config))
