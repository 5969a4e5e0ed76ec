"""Published experiments by name (`--preset`): the model, its training, and how long.

The losses are the ones printed in the lectures "Neural Networks: Zero to Hero" (parts 2, 3 and 5 of
makemore; the GPT from scratch). What a user sets beside a preset takes precedence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from descent.goals.folder import RunError

__all__ = ["NAMES_PRESETS", "TEXT_PRESETS", "Preset", "preset_of"]


@dataclass(frozen=True)
class Preset:
    """`windows`: each example is the last K characters and one target, as in the lectures."""

    type: str
    steps: int
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    windows: bool = False
    data: str | None = None  # a known file


def _sgd(decay_at: int) -> dict[str, Any]:
    """Plain gradient descent, a tenth of the rate from one step on: the lectures' recipe."""
    return {
        "optimizer": "sgd", "learning_rate": 0.1, "schedule": "step", "decay_at": decay_at,
        "warmup_steps": 0, "weight_decay": 0.0, "clip": None, "batch_size": 32,
    }  # fmt: skip


_MLP = {"block_size": 3, "n_embd": 10, "n_hidden": 200, "pad": 0}

NAMES_PRESETS = {
    # 11,897 parameters; the lecture's dev loss: 2.17
    "lecture-mlp": Preset("nplm", 200_000, {**_MLP, "init": "normal"}, _sgd(100_000), True),
    # the same network with Kaiming's initialisation: 2.10
    "lecture-mlp-kaiming": Preset("nplm", 200_000, _MLP, _sgd(100_000), True),
    # 12,097 parameters: 2.10 (seed 3407 ends at 2.112)
    "lecture-batchnorm": Preset(
        "nplm",
        200_000,
        {**_MLP, "batch_norm": True, "bn_momentum": 0.001},
        {**_sgd(100_000), "seed": 1337},
        True,
    ),
    # 76,579 parameters: 1.99
    "lecture-wavenet": Preset(
        "wavenet",
        200_000,
        {"block_size": 8, "n_embd": 24, "n_hidden": 128, "pad": 0},
        _sgd(150_000),
        True,
    ),
}

TEXT_PRESETS = {
    # 209,729 parameters on Shakespeare; the lecture's validation loss: 1.82
    "lecture-gpt": Preset(
        "gpt",
        5_000,
        {
            "block_size": 32, "n_layer": 4, "n_head": 4, "n_embd": 64, "activation": "relu",
            "qkv_bias": False, "head_bias": True, "tie": False, "init_std": None,
        },
        {
            "batch_size": 16, "learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 0,
            "weight_decay": 0.01, "beta2": 0.999, "clip": None, "eval_batches": 200,
        },
        data="tinyshakespeare.txt",
    ),
}  # fmt: skip


def preset_of(name: str | None, presets: dict[str, Preset]) -> Preset | None:
    """The preset of that name; None for None.

    Raises:
        RunError: an unknown name; the known ones are listed.
    """
    if name is None:
        return None
    if name not in presets:
        raise RunError(f"unknown preset {name!r}; known: {', '.join(presets)}")
    return presets[name]
