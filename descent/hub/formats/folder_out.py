"""Write a Hugging Face folder: what `from_pretrained` needs to find the same model.

Weights in safetensors, in shards of at most `shard_bytes` with an index where there are several;
config.json last, so that a folder that has one is whole. A GPT without biases (nanoGPT's) gets
biases of zero, which change nothing. The tokenizer's files are copied from the folder they came
from; ours is written as a tokenizer.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from descent.data.errors import DataError
from descent.data.files import write_atomically
from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.safetensors import safetensors_parts
from descent.hub.weights import Stored, Weights, as_kind, bytes_of
from descent.models.naming import shapes
from descent.models.published import PublishedError, hf_names, to_hf_config

__all__ = ["KINDS", "with_biases", "write_folder"]

KINDS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model",
           "vocab.json", "merges.txt", "added_tokens.json", "chat_template.jinja")  # fmt: skip


def with_biases(bundle: Bundle) -> Bundle:
    """A GPT with all its biases; those it lacks are zeros."""
    config = dict(bundle.config)
    if bundle.kind != "gpt" or (config.get("bias", True) and config.get("qkv_bias", True)):
        return bundle
    config |= {"bias": True, "qkv_bias": True}
    stored = dict(bundle.weights.stored)
    for name, shape in shapes("gpt", config).items():
        if name.endswith(".bias") and name not in stored:
            stored[name] = _zeros(shape)
    return Bundle("gpt", config, Weights(stored, bundle.weights.files), bundle.tokenizer,
                  bundle.about)  # fmt: skip


def _zeros(shape: tuple[int, ...]) -> Stored:
    return Stored(shape, "F32", lambda once: np.zeros(shape, np.float32))


def write_folder(
    bundle: Bundle, folder: Path, dtype: str = "float32", shard_bytes: int = 5 << 30
) -> list[Path]:
    """The files of the folder, in the order they were written.

    Raises:
        FormatError: a model that none of Hugging Face's classes can express, saying why.
    """
    bundle = with_biases(bundle)
    try:
        config = to_hf_config(bundle.kind, bundle.config)
        names = hf_names(bundle.kind, bundle.config)
    except (PublishedError, ValueError) as error:
        raise FormatError(folder, f"can't be written as a Hugging Face folder: {error}") from None
    about = bundle.about
    ends = about.get("eos_ids") or []
    ids = {"bos_token_id": about.get("bos_id"),
           "eos_token_id": ends[0] if len(ends) == 1 else ends or None}  # fmt: skip
    written = _write_weights(bundle, names, folder, KINDS[dtype], shard_bytes)
    written += _write_tokenizer(bundle, folder)
    written.append(write_atomically(folder / "generation_config.json", _json(ids)))
    config |= {"dtype": dtype, "torch_dtype": dtype, **ids}
    written.append(write_atomically(folder / "config.json", _json(config)))
    return written


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write_weights(
    bundle: Bundle, names: Mapping[str, tuple[str, str]], folder: Path, kind: str, most: int
) -> list[Path]:
    entries: dict[str, tuple[str, bool]] = {}  # their name → ours, whether transposed
    for ours, (theirs, how) in names.items():
        if ours in bundle.weights:
            entries[theirs] = (ours, how == "transpose")
    shards: list[dict[str, tuple[str, tuple[int, ...]]]] = [{}]
    room = most
    for theirs, (ours, turned) in entries.items():
        shape = tuple(bundle.weights.stored[ours].shape[:: -1 if turned else 1])
        size = bytes_of(kind, shape)
        if size > room and shards[-1]:
            shards.append({})
            room = most
        shards[-1][theirs] = (kind, shape)
        room -= size

    def arrays(shard: Mapping[str, Any]) -> Iterator[np.ndarray]:
        for theirs in shard:
            ours, turned = entries[theirs]
            with bundle.weights.once(ours) as value:
                yield as_kind(value, kind, turned)

    written, places = [], {}
    for i, shard in enumerate(shards, 1):
        many = f"model-{i:05}-of-{len(shards):05}.safetensors"
        name = many if len(shards) > 1 else "model.safetensors"
        parts = safetensors_parts(shard, arrays(shard), {"format": "pt"})
        written.append(write_atomically(folder / name, parts))
        places |= dict.fromkeys(shard, name)
    if len(shards) > 1:
        total = sum(bytes_of(*entry) for shard in shards for entry in shard.values())
        index = {"metadata": {"total_size": total}, "weight_map": places}
        written.append(write_atomically(folder / "model.safetensors.index.json", _json(index)))
    return written


def _write_tokenizer(bundle: Bundle, folder: Path) -> list[Path]:
    """Copies of the files beside the source, else ours as tokenizer.json with its settings."""
    source = Path(str(bundle.about.get("source", "")))
    if bundle.about.get("format") == "Hugging Face folder" and source.is_dir():
        return [
            write_atomically(folder / name, (source / name).read_bytes())
            for name in _COPIED
            if (source / name).is_file() and source.resolve() != folder.resolve()
        ]
    if bundle.tokenizer is None:
        return []
    from descent.data.tokenizers.hub_export import save_hub_folder

    try:
        written = save_hub_folder(bundle.tokenizer, folder)
    except DataError as error:
        bundle.about.setdefault("notes", []).append(f"the tokenizer was not written: {error}")
        return []
    template = bundle.about.get("chat_template")
    if template and getattr(bundle.tokenizer, "chat_template", None) is None:
        written.append(write_atomically(folder / "chat_template.jinja", template))
    return written
