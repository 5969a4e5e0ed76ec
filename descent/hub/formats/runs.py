"""Our run folders: config.json, model.safetensors, tokenizer.json (see docs/runs.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from descent.data.files import write_atomically
from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.folder import json_file, tokenizer_in
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.safetensors import read_safetensors, safetensors_parts
from descent.hub.weights import Stored, Weights, as_float32
from descent.models.building import MODELS
from descent.train.checkpoint import SCALE

__all__ = ["read_run", "write_run"]


def read_run(folder: Path) -> Bundle:
    """The best weights of a run.

    Raises:
        FormatError: a damaged or half-written folder, or a kind of model this version lacks.
    """
    config = json_file(folder / "config.json")
    model = config.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("config"), dict):
        raise FormatError(folder / "config.json", 'has no "model" with "type" and "config"')
    kind = model.get("type")
    if not isinstance(kind, str) or kind not in MODELS:
        raise FormatError(
            folder / "config.json", f"model type {kind!r} is not one of {', '.join(MODELS)}"
        )
    try:
        settings = asdict(MODELS[kind][0](**model["config"]))
    except (TypeError, ValueError) as error:
        raise FormatError(folder / "config.json", f"its model's config: {error}") from None
    file = MappedFile(folder / "model.safetensors")
    tensors, metadata = read_safetensors(file)
    tensors = _scaled(tensors)
    about: dict[str, Any] = {
        "source": str(folder),
        "format": "run folder",
        "name": folder.resolve().name,
        "context": settings.get("block_size"),
        "goal": config.get("goal"),
        "metadata": metadata,
    }
    read, about = tokenizer_in(folder, about)
    tokenizer = read() if read else None  # small, and needed to know the end token
    end = getattr(tokenizer, "special_tokens", {}).get("<|endoftext|>")
    about |= {"bos_id": None, "eos_ids": [] if end is None else [end]}
    return Bundle(kind, settings, Weights(tensors, [file]), tokenizer, about)


def _scaled(tensors: dict[str, Stored]) -> dict[str, Stored]:
    """Matrices of bytes with their scales (`save_weights(int8=True)`) as float32 ones."""
    for name in [name for name in tensors if name.endswith(SCALE)]:
        matrix = name.removesuffix(SCALE)
        if matrix in tensors and tensors[matrix].kind == "I8":
            whole, scale = tensors[matrix], tensors.pop(name)
            tensors[matrix] = Stored(whole.shape, "F32", _times(whole, scale))
    return tensors


def _times(whole: Stored, scale: Stored) -> Callable[[bool], np.ndarray]:
    return lambda once: whole.read(once) * scale.read(once)[:, None]


def write_run(bundle: Bundle, folder: Path) -> list[Path]:
    """A run folder of a model that came from elsewhere, weights in float32.

    Raises:
        FormatError: a model without a tokenizer: a run folder cannot do without.
    """
    if bundle.tokenizer is None:
        raise FormatError(folder, "a run folder needs a tokenizer, and this model came without one")
    names = {name: ("F32", s.shape) for name, s in bundle.weights.stored.items()}
    tied = {"gpt": "wte.weight", "llama": "embed.weight"}.get(bundle.kind)
    shared = {"lm_head.weight": tied} if tied and "lm_head.weight" not in names else {}
    metadata = {"format": "descent", **({"shared": json.dumps(shared)} if shared else {})}
    parts = safetensors_parts(names, _arrays(bundle, names), metadata)
    written = [write_atomically(folder / "model.safetensors", parts)]
    written.append(bundle.tokenizer.save(folder / "tokenizer.json"))
    config = {
        "format": "descent-run.v1",
        "created": int(time.time()),
        "goal": bundle.about.get("goal") or "complete",
        "model": {"type": bundle.kind, "config": bundle.config},
        "from": str(bundle.about.get("source", "")),
    }
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    written.append(write_atomically(folder / "config.json", text))
    return written


def _arrays(bundle: Bundle, names: Iterable[str]) -> Iterator[np.ndarray]:
    for name in names:
        with bundle.weights.once(name) as value:
            yield as_float32(value)
