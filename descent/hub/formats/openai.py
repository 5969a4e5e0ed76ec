"""OpenAI's GPT-2 folders, as they were published and as gpt-2-simple keeps them.

    hparams.json, encoder.json, vocab.bpe, checkpoint, model.ckpt.{index,data-*,meta}
    fine-tuned: checkpoint/RUN/ with model-STEP.{index,data-*,meta} and the same json and bpe files

Variables are called model/h0/attn/c_attn/w and so on; linear weights are [1, in, out]. The .meta
graph is not looked at. Reference: github.com/openai/gpt-2, `src/model.py`;
github.com/minimaxir/gpt-2-simple.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.folder import json_file, tokenizer_in
from descent.hub.formats.tensorbundle import read_tensor_bundle
from descent.hub.weights import Stored, Weights
from descent.models.naming import shapes

__all__ = ["checkpoint_prefix", "read_openai"]

_SIZES = {"n_vocab": "vocab_size", "n_ctx": "block_size", "n_embd": "n_embd", "n_head": "n_head",
          "n_layer": "n_layer"}  # fmt: skip
_TRAINING = ("/Adam", "/Adam_1", "beta1_power", "beta2_power", "global_step")


def read_openai(folder: Path) -> Bundle:
    """The newest checkpoint of the folder.

    Raises:
        FormatError: a missing or damaged file, or a variable that is missing, unused or misshapen.
    """
    hparams = json_file(folder / "hparams.json")
    config: dict[str, Any] = {}
    for theirs, ours in _SIZES.items():
        value = hparams.get(theirs)
        if type(value) is not int or not 0 < value < 1 << 31:
            raise FormatError(folder / "hparams.json", f"{theirs} is {value!r}, not a count")
        config[ours] = value
    prefix = checkpoint_prefix(folder)
    variables, files = read_tensor_bundle(prefix)
    if config["n_layer"] > len(variables) or config["n_embd"] % config["n_head"]:
        raise FormatError(folder / "hparams.json", f"sizes {config} do not fit its checkpoint")
    left = {n: s for n, s in variables.items() if not n.endswith(_TRAINING)}
    stored = {}
    for ours, shape in shapes("gpt", config).items():
        if ours == "lm_head.weight":  # tied
            continue
        name = _theirs(ours)
        if name not in left:
            raise FormatError(prefix, f"has no variable {name!r}")
        stored[ours] = _as_ours(prefix, name, left.pop(name), shape)
    if left:
        raise FormatError(prefix, f"has a variable nothing here uses: {next(iter(left))!r}")
    about: dict[str, Any] = {"source": str(folder), "format": "OpenAI TensorFlow checkpoint",
                             "name": folder.resolve().name, "context": config["block_size"],
                             "checkpoint": prefix.name}  # fmt: skip
    tokenizer, about = tokenizer_in(folder, about)
    end = 50256 if config["vocab_size"] == 50257 else None
    about |= {"bos_id": end, "eos_ids": [] if end is None else [end]}
    return Bundle("gpt", config, Weights(stored, files), tokenizer, about)


def checkpoint_prefix(folder: Path) -> Path:
    """The checkpoint the file `checkpoint` names; without one, the only or the last .index."""
    listing = folder / "checkpoint"
    if listing.is_file() and listing.stat().st_size < 1 << 20:
        text = listing.read_bytes().decode("utf-8", "replace")
        found = re.search(r'^model_checkpoint_path:\s*"([^"]+)"', text, re.MULTILINE)
        if found:
            name = re.split(r"[/\\]", found[1])[-1]  # folders move; an absolute path goes stale
            if (folder / f"{name}.index").is_file():
                return folder / name
    indices = list(folder.glob("*.index"))
    if not indices:
        raise FormatError(folder, "holds no checkpoint (a .index file)")
    return max(indices, key=lambda path: (_step(path), path.name)).with_suffix("")


def _step(path: Path) -> int:
    found = re.search(r"-(\d{1,18})\.index$", path.name)
    return int(found[1]) if found else -1


def _theirs(ours: str) -> str:
    """h.0.attn.c_attn.weight → model/h0/attn/c_attn/w;  ln_f.weight → model/ln_f/g."""
    stem, _, end = ours.rpartition(".")
    parts = stem.split(".")
    if stem in ("wte", "wpe"):
        return f"model/{stem}"
    if parts[0] == "h":
        parts = [f"h{parts[1]}", *parts[2:]]
    last = "b" if end == "bias" else "g" if parts[-1].startswith("ln_") else "w"
    return "/".join(["model", *parts, last])


def _as_ours(prefix: Path, name: str, stored: Stored, shape: tuple[int, ...]) -> Stored:
    if name.endswith("/w"):
        if stored.shape != (1, *shape[::-1]):
            raise FormatError(prefix, f"{name!r} has shape {list(stored.shape)}, not "
                              f"{[1, *shape[::-1]]}")  # fmt: skip
        return stored.reshaped(*shape[::-1]).transposed()
    if stored.shape != shape:
        raise FormatError(prefix, f"{name!r} has shape {list(stored.shape)}, not {list(shape)}")
    return stored
