"""Adapters on disk in peft's layout: adapter_config.json and adapter_model.safetensors.

    base_model.model.transformer.h.0.attn.c_attn.lora_A.weight    [r, in]
    base_model.model.transformer.h.0.attn.c_attn.lora_B.weight    [out, r]

So `peft.PeftModel.from_pretrained(hugging_face_model, folder)` takes up what was learned here, and
the other way round. Left out: other kinds of adapter, several in one folder.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from descent.data.files import write_atomically
from descent.train.checkpoint import CheckpointError
from descent.train.lora import adapt, adapters

__all__ = ["apply_adapter", "hugging_face_path", "load_adapter", "save_adapter"]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


def hugging_face_path(kind: str, path: str) -> str:
    """The name Hugging Face's implementation has for one of our layers (GPT-2 and Llama)."""
    if kind == "gpt":
        return f"transformer.{path}"
    return f"model.{path.replace('.attn.', '.self_attn.')}" if kind == "llama" else path


def save_adapter(folder: Path, model: Any, kind: str, base: str, dropout: float = 0.0) -> None:
    """Write the adapters of `model`; its weights are not in there."""
    layers = list(adapters(model))
    arrays, targets = {}, set()
    for path, layer in layers:
        name = _PREFIX + hugging_face_path(kind, path)
        arrays[f"{name}.lora_A.weight"] = np.ascontiguousarray(layer.lora_A.array)
        arrays[f"{name}.lora_B.weight"] = np.ascontiguousarray(layer.lora_B.array)
        targets.add(path.rsplit(".", 1)[1])
    first = layers[0][1]
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base,
        "r": first.r, "lora_alpha": first.alpha, "lora_dropout": dropout, "bias": "none",
        "target_modules": sorted(targets), "fan_in_fan_out": kind == "gpt", "inference_mode": True,
        "modules_to_save": None, "use_rslora": False, "use_dora": False,
    }  # fmt: skip
    write_atomically(folder / WEIGHTS, save(arrays, metadata={"format": "pt"}))
    write_atomically(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def load_adapter(folder: Path, model: Any) -> None:
    """Fill the adapters of an adapted model.

    Raises:
        CheckpointError: missing, damaged, or made for other layers.
    """
    arrays = _read(folder)
    want = {path: layer for path, layer in adapters(model)}
    found = {p for p, _ in arrays}
    if different := sorted(found ^ want.keys()):
        raise CheckpointError(f"{folder} is an adapter for other layers: {different[0]}")
    for path, layer in want.items():
        for part in ("lora_A", "lora_B"):
            into, value = getattr(layer, part), arrays[path, part]
            if into.array.shape != value.shape:
                raise CheckpointError(
                    f"{folder}: {path}.{part} has shape {list(value.shape)}, this model's has "
                    f"{list(into.array.shape)}"
                )
            into.array[...] = value
            into.version[0] += 1


def apply_adapter(folder: Path, model: Any) -> None:
    """Put an adapter saved here or by peft beside the layers of a plain model.

    Raises:
        CheckpointError: damaged, not LoRA, or made for another model.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        r, alpha = int(config["r"]), float(config["lora_alpha"])
        targets = tuple(config["target_modules"])
        if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("use_rslora"):
            raise ValueError(f"peft_type {config.get('peft_type')!r} (plain LORA is read)")
        adapt(model, targets, r=r, alpha=alpha)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder} can't be read as an adapter: {error}") from None
    load_adapter(folder, model)


def _read(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """(our path, part) → array."""
    try:
        arrays = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} can't be read: {error}") from None
    found: dict[tuple[str, str], np.ndarray] = {}
    for name, value in arrays.items():
        match = re.fullmatch(
            r"(?:base_model\.model\.)?(?:transformer\.|model\.)?(.+)\.(lora_[AB])\.weight", name
        )
        if match is None:
            raise CheckpointError(f"{folder / WEIGHTS} holds {name}, which is no LoRA weight")
        found[match[1].replace(".self_attn.", ".attn."), match[2]] = value.astype(np.float32)
    return found
