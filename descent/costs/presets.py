"""Models to measure by name: every model of the package, and the sizes people know.

The batch is random token ids: what a step costs does not depend on what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from descent import nn, optim
from descent.costs.errors import CostError
from descent.costs.work import Work, model_work
from descent.models.building import MODELS, build

__all__ = ["PRESETS", "Preset", "preset_work"]


@dataclass(frozen=True)
class Preset:
    """A model with sizes, and a batch of `batch` rows of `block` tokens."""

    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    batch: int = 32
    block: int | None = None  # None: the model's own block size
    optimizer: str = "adamw"


def _gpt2(n_layer: int, n_head: int, n_embd: int) -> Preset:
    sizes = {"n_layer": n_layer, "n_head": n_head, "n_embd": n_embd}
    return Preset("gpt", {"vocab_size": 50257, "block_size": 1024, **sizes}, 4, 64)


_MAKEMORE = {"vocab_size": 27, "block_size": 16}

PRESETS: dict[str, Preset] = {
    **{kind: Preset(kind, {"vocab_size": 65}) for kind in MODELS},
    "makemore-mlp": Preset(
        "nplm",
        {"vocab_size": 27, "block_size": 3, "n_embd": 10, "n_hidden": 200, "pad": 0},
        optimizer="sgd",
    ),
    "makemore-transformer": Preset(
        "gpt",
        {**_MAKEMORE, "n_layer": 4, "n_head": 4, "n_embd": 64, "tie": False, "init_std": None},
    ),
    "makemore-rnn": Preset("rnn", {**_MAKEMORE, "n_embd": 64, "n_hidden": 64}),
    "nanogpt": Preset(
        "gpt",
        {"vocab_size": 65, "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128,
         "bias": False},
        12,
    ),
    "gpt2": _gpt2(12, 12, 768),
    "gpt2-medium": _gpt2(24, 16, 1024),
    "gpt2-large": _gpt2(36, 20, 1280),
    "gpt2-xl": _gpt2(48, 25, 1600),
}  # fmt: skip

_WINDOWED = ("nplm", "wavenet")  # K tokens, one target, as in the lectures


def preset_work(
    name: str, *, batch: int | None = None, block: int | None = None, training: bool = True
) -> Work:
    """A step of a model known by name.

    Raises:
        CostError: an unknown name (the known ones are listed), sizes below 1, too little memory.
    """
    if name not in PRESETS:
        raise CostError(f"unknown model {name!r}; known: {', '.join(PRESETS)}; or a run folder")
    preset = _sized(PRESETS[name], batch, block)
    _check_memory(name, preset, training)
    try:
        model = build(preset.kind, preset.config)
    except ValueError as error:  # a block size the model cannot have
        raise CostError(f"{name}: {error}") from None
    length = preset.block or model.get_block_size()
    optimizer = _optimizer(model, preset.optimizer) if training else None
    return model_work(name, model, _batches(preset, length), optimizer=optimizer)


def _sized(preset: Preset, batch: int | None, block: int | None) -> Preset:
    config = dict(preset.config)
    if block is not None and (preset.kind in _WINDOWED or block > config.get("block_size", 0)):
        config["block_size"] = block
    return replace(preset, config=config, batch=batch or preset.batch, block=block or preset.block)


def _batches(preset: Preset, length: int) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1337)
    vocabulary, targets = preset.config["vocab_size"], 1 if preset.kind in _WINDOWED else length

    def batch() -> tuple[np.ndarray, np.ndarray]:
        ids = rng.integers(0, vocabulary, (preset.batch, length + 1))
        return ids[:, :-1], ids[:, -targets:]

    return batch


def _optimizer(model: nn.Module, name: str) -> optim.Optimizer:
    if name == "sgd":
        return optim.SGD(model.parameters(), lr=0.1)
    return optim.AdamW(model.parameters(), lr=3e-4)


def _check_memory(name: str, preset: Preset, training: bool) -> None:
    """Refuse what would drive the machine out of memory: weights, gradients, two moments."""
    c = preset.config
    free = _available_bytes()
    if "n_layer" not in c or free is None:
        return
    weights = 12 * c["n_layer"] * c["n_embd"] ** 2 + c["vocab_size"] * c["n_embd"]
    need = weights * 4 * (4 if training else 1)
    if need > free:
        raise CostError(
            f"{name} needs about {need / 1e9:.1f} GB for its weights"
            f"{', gradients and moments' if training else ''}; {free / 1e9:.1f} GB are free"
        )


def _available_bytes() -> int | None:
    """Memory that can be had without swapping (Linux); None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
