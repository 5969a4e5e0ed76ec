"""Hugging Face folders: config.json, weights in safetensors (one file or shards), a tokenizer.

Shards are listed in an index (`weight_map`: tensor → file); a file name there must be a plain name,
so an index cannot reach outside its folder. Weights as PyTorch pickles are read where there is no
safetensors, by the reader that executes nothing (`pytorch`).
Reference: huggingface.co/docs/transformers, "Checkpoint shards"; config.json as the model classes
define it (see `descent.models.published`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descent.data.errors import DataError
from descent.data.tokenizers.hub_files import hub_config
from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.mapped import MappedFile
from descent.hub.formats.safetensors import read_safetensors
from descent.hub.weights import Stored, Weights
from descent.models.naming import WeightNameError, match_hf_names
from descent.models.published import PublishedError, from_hf_config

__all__ = [
    "json_file", "named_as_ours", "read_folder", "read_tokenizer", "tensors_of", "tokenizer_beside",
    "tokenizer_in",
]  # fmt: skip

_LARGEST_JSON = 64 << 20
_WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json",
                 "pytorch_model.bin", "pytorch_model.bin.index.json")  # fmt: skip


def json_file(path: Path) -> dict[str, Any]:
    """The object in a JSON file of bounded size."""
    try:
        size = path.stat().st_size
        if size > _LARGEST_JSON:
            raise FormatError(path, f"{size} bytes are too many for such a file")
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FormatError(path, "there is no such file") from None
    except OSError as error:
        raise FormatError(path, f"can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(path, f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise FormatError(path, f"must hold a JSON object, holds a {type(value).__name__}")
    return value


def read_folder(folder: Path) -> Bundle:
    """A folder as `from_pretrained` reads it.

    Raises:
        FormatError: an architecture or setting we do not have, a missing, unused or misshapen
            weight, a damaged file: each by name.
    """
    config_json = json_file(folder / "config.json")
    try:
        kind, config = from_hf_config(config_json)
    except PublishedError as error:
        raise FormatError(folder / "config.json", str(error)) from None
    tensors, files = tensors_of(folder)
    if config["n_layer"] > len(tensors):
        problem = f"names {config['n_layer']} layers; there are {len(tensors)} tensors"
        raise FormatError(folder / "config.json", problem)
    weights = Weights(named_as_ours(folder, kind, config, tensors), files)
    about = {
        "source": str(folder),
        "format": "Hugging Face folder",
        "name": folder.resolve().name,
        "context": config["block_size"],
        **_ids(folder, config_json),
    }
    return Bundle(kind, config, weights, *tokenizer_in(folder, about))


def tensors_of(folder: Path) -> tuple[dict[str, Stored], list[MappedFile]]:
    """Every tensor of the folder's weight files, and the files."""
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return _indexed(folder, name) if name.endswith(".json") else _one(folder / name)
    raise FormatError(folder, f"holds none of {', '.join(_WEIGHT_FILES)}")


def _one(path: Path) -> tuple[dict[str, Stored], list[MappedFile]]:
    file = MappedFile(path)
    if path.suffix == ".safetensors":
        return read_safetensors(file)[0], [file]
    from descent.hub.formats.pytorch import read_state_dict

    return read_state_dict(file), [file]


def _indexed(folder: Path, name: str) -> tuple[dict[str, Stored], list[MappedFile]]:
    places = json_file(folder / name).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise FormatError(folder / name, 'has no "weight_map" from tensors to files')
    tensors: dict[str, Stored] = {}
    files: list[MappedFile] = []
    for shard in sorted({str(s) for s in places.values()}):
        if shard != Path(shard).name or shard in ("", ".", "..") or "\\" in shard:
            raise FormatError(folder / name, f"{shard!r} is not the name of a file in this folder")
        found, opened = _one(folder / shard)
        for tensor, stored in found.items():
            if places.get(tensor) != shard:
                raise FormatError(
                    folder / shard, f"holds {tensor!r}, which the index puts elsewhere"
                )
            tensors[tensor] = stored
        files += opened
    if missing := sorted(places.keys() - tensors.keys()):
        raise FormatError(folder / name, f"{missing[0]!r} is not in {places[missing[0]]}")
    return tensors, files


def named_as_ours(
    where: Any, kind: str, config: dict[str, Any], tensors: Mapping[str, Stored]
) -> dict[str, Stored]:
    """Tensors under our names, transposed where theirs lie the other way.

    Raises:
        FormatError: naming weights that are missing or left over.
    """
    try:
        names = match_hf_names(kind, config, tensors)
    except WeightNameError as error:
        raise FormatError(where, str(error)) from None
    found: dict[str, Stored] = {}
    for ours, (theirs, how) in names.items():
        if not (config.get("tie") and ours == "lm_head.weight"):
            stored = tensors[theirs]
            found[ours] = stored.transposed() if how == "transpose" else stored
    return found


def _ids(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """First and last tokens: generation_config.json's word comes before config.json's."""
    file = folder / "generation_config.json"
    both = {**config, **(json_file(file) if file.is_file() else {})}
    eos = both.get("eos_token_id")
    eos = eos if isinstance(eos, list) else [] if eos is None else [eos]
    return {"bos_id": both.get("bos_token_id"), "eos_ids": [i for i in eos if type(i) is int]}


_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "encoder.json",
                    "tokenizer.bin")  # fmt: skip


def tokenizer_in(folder: Path, about: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What reads the folder's tokenizer (None without one), and `about` with its chat template."""
    try:
        about["chat_template"] = hub_config(folder).get("chat_template")
    except DataError as error:
        about.setdefault("notes", []).append(f"its chat template can't be read: {error}")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return None, about
    return lambda: read_tokenizer(folder, about), about


def read_tokenizer(path: Path, about: dict[str, Any]) -> Any:
    """A tokenizer file or folder; None where it can't be read, with a note of why."""
    from descent.data.tokenizers import load_tokenizer

    try:
        return load_tokenizer(path)
    except DataError as error:
        about.setdefault("notes", []).append(f"its tokenizer can't be read: {error}")
        return None


def tokenizer_beside(file: Path, names: tuple[str, ...], bundle: Bundle) -> Bundle:
    """The bundle of a lone model file with the tokenizer that lies beside it, if it fits."""
    for name in names:
        if (file.parent / name).is_file():
            found = read_tokenizer(file.parent / name, bundle.about)
            if found is not None and found.vocab_size == bundle.config["vocab_size"]:
                bundle.tokenizer = found
                break
    return bundle
