"""Load a pretrained model from whatever it lies in: its format is seen from the files."""

from __future__ import annotations

import os
from pathlib import Path

from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError
from descent.hub.formats.mapped import MappedFile

__all__ = ["load"]


def load(path: str | os.PathLike) -> Bundle:
    """A model file or folder of any known format, its weights not yet read.

    Known are: Hugging Face folders and single safetensors files beside a config.json, run folders,
    OpenAI's TensorFlow checkpoints (gpt-2-simple), PyTorch checkpoints of nanoGPT and llama2.c,
    llm.c and llama2.c models, GGUF.

    Raises:
        FormatError: an unknown or damaged file: which, at what byte, what would be right.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise FormatError(path, "there is no such file or folder")
    return _file(path)


def _folder(folder: Path) -> Bundle:
    from descent.hub.formats.folder import json_file, read_folder

    if (folder / "hparams.json").is_file():
        from descent.hub.formats.openai import read_openai

        return read_openai(folder)
    config = folder / "config.json"
    if config.is_file():
        if str(json_file(config).get("format", "")).startswith("descent-run"):
            from descent.hub.formats.runs import read_run

            return read_run(folder)
        return read_folder(folder)
    raise FormatError(
        folder,
        "is no model folder: it has no config.json (Hugging Face, run folder) and no hparams.json "
        "(OpenAI's TensorFlow checkpoint)",
    )


def _file(path: Path) -> Bundle:
    """By the first bytes; names say nothing (half the formats are called .bin)."""
    from descent.hub.formats import llama2c
    from descent.hub.formats.folder import tokenizer_beside

    file = MappedFile(path)
    head = file.bytes(0, min(16, file.size), "the first bytes")
    if head[:4] == b"GGUF":
        from descent.hub.formats.gguf_models import read_gguf

        return read_gguf(file)
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return _safetensors(file)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        from descent.hub.formats.checkpoints import read_checkpoint

        return read_checkpoint(file)
    number = int.from_bytes(head[:4], "little")
    if 20240326 <= number <= 20240527:
        from descent.hub.formats.llmc import read_llmc

        names = ("gpt2_tokenizer.bin", "encoder.json", "vocab.json", "tokenizer.json")
        return tokenizer_beside(path, names, read_llmc(file))
    if number == llama2c.MAGIC or path.suffix == ".bin":
        names = ("tokenizer.bin", "tokenizer.model", "tokenizer.json")
        return tokenizer_beside(path, names, llama2c.read_llama2c(file))
    raise FormatError(
        path,
        "is no model file of a known format (safetensors, GGUF, PyTorch, llm.c, llama2.c): it "
        f"begins with {head.hex(' ')}",
    )


def _safetensors(file: MappedFile) -> Bundle:
    """A safetensors file needs the config beside it."""
    if not (file.path.parent / "config.json").is_file():
        raise file.fail("weights alone: there is no config.json beside them to say of what model")
    if file.path.name != "model.safetensors":
        raise file.fail("load the folder it lies in, where it is called model.safetensors")
    return _folder(file.path.parent)
