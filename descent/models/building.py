"""The models by name, listed by hand, and building one from a run folder's config."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from descent.models.bigram import Bigram, BigramConfig
from descent.models.bow import BoW, BoWConfig
from descent.models.cnn import CNN, CNNConfig
from descent.models.gpt import GPT, GPTConfig
from descent.models.llama import Llama, LlamaConfig
from descent.models.nplm import NPLM, NPLMConfig
from descent.models.rnn import RNN, RNNConfig
from descent.models.wavenet import WaveNet, WaveNetConfig

__all__ = ["MODELS", "build"]

MODELS: dict[str, tuple[type, type]] = {
    "bigram": (BigramConfig, Bigram),
    "nplm": (NPLMConfig, NPLM),
    "bow": (BoWConfig, BoW),
    "rnn": (RNNConfig, RNN),
    "wavenet": (WaveNetConfig, WaveNet),
    "cnn": (CNNConfig, CNN),
    "gpt": (GPTConfig, GPT),
    "llama": (LlamaConfig, Llama),
}


_COUNTS = {"vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_hidden"}


def build(kind: str, config: dict[str, Any]) -> Any:
    """An untrained model of type `kind`.

    Raises:
        ValueError: an unknown type (the known ones are listed), an unknown setting, or sizes that
            do not fit.
    """
    if kind not in MODELS:
        raise ValueError(f"unknown model type {kind!r}; known: {', '.join(MODELS)}")
    config_class, model_class = MODELS[kind]
    known = {f.name for f in fields(config_class)}
    if extra := set(config) - known:
        raise ValueError(f"{kind} has no setting {sorted(extra)}; it has {sorted(known)}")
    for name in _COUNTS & set(config):
        if config[name] < 1:
            raise ValueError(f"{name} must be at least 1: got {config[name]}")
    return model_class(config_class(**config))
