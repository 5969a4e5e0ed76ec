"""Write a bundle in another program's format, or as a folder of ours.

    save(bundle, "out", format="hf")            save(bundle, "out.gguf", dtype="q8_0")

What a format cannot hold is an error before anything is written; what it holds less exactly
(narrower numbers, a tokenizer left behind) is said in the report's notes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from descent.data.files import write_atomically
from descent.hub.bundle import Bundle
from descent.hub.formats.errors import FormatError

__all__ = ["FORMATS", "Saved", "save"]

FORMATS: dict[str, tuple[str, ...]] = {  # format → dtypes, the default first
    "hf": ("float32", "float16", "bfloat16"),
    "run": ("float32",),
    "gguf": ("float16", "q8_0", "q4_0", "float32"),
    "llama2.c": ("float32",),
    "llama2.c-v1": ("float32",),
    "llama2.c-v2": ("int8",),
    "llm.c": ("float32", "bfloat16"),
    "onnx": ("float32",),
    "onnx-cache": ("float32",),
}
_BY_SUFFIX = {".gguf": "gguf", ".onnx": "onnx", "": "hf"}


@dataclass
class Saved:
    """What was written: the files with their bytes, and what was lost on the way."""

    format: str
    dtype: str
    files: dict[str, int]
    notes: list[str] = field(default_factory=list)


def save(
    bundle: Bundle, path: str | os.PathLike, format: str | None = None, dtype: str | None = None
) -> Saved:
    """Write `bundle` to `path`.

    Args:
        format: a name of `FORMATS`; None: by the suffix (.gguf, .onnx; none: a Hugging Face
            folder).
        dtype: how numbers are stored; None: the format's first.

    Raises:
        FormatError: an unknown format or dtype, or a model the format has no place for.
    """
    path = Path(path)
    format = format or _BY_SUFFIX.get(path.suffix.lower())
    if format not in FORMATS:
        raise FormatError(path, f"which format? {format!r} is not one of {', '.join(FORMATS)}")
    dtype = dtype or FORMATS[format][0]
    if dtype not in FORMATS[format]:
        raise FormatError(path, f"{format} can hold {', '.join(FORMATS[format])}, not {dtype!r}")
    if format in ("hf", "run"):
        if path.exists() and not path.is_dir():
            raise FormatError(path, "is a file; this format is a folder")
        written = _folder(bundle, path, format, dtype)
    else:
        if path.is_dir():
            raise FormatError(path, "is a folder; this format is one file")
        parts = _PARTS[format](bundle, dtype)
        written = [write_atomically(path, parts)]
    files = {str(p): p.stat().st_size for p in written}
    return Saved(format, dtype, files, _notes(bundle, format, dtype, files))


def _folder(bundle: Bundle, path: Path, format: str, dtype: str) -> list[Path]:
    if format == "hf":
        from descent.hub.formats.folder_out import write_folder

        return write_folder(bundle, path, dtype)
    from descent.hub.formats.runs import write_run

    return write_run(bundle, path)


def _llama2c(version: int) -> Callable[[Bundle, str], Iterator[Any]]:
    def parts(bundle: Bundle, dtype: str) -> Iterator[Any]:
        from descent.hub.formats.llama2c import llama2c_parts

        return llama2c_parts(bundle, version)

    return parts


def _llmc(bundle: Bundle, dtype: str) -> Iterator[Any]:
    from descent.hub.formats.llmc import llmc_parts

    return llmc_parts(bundle, dtype)


def _gguf(bundle: Bundle, dtype: str) -> Iterator[Any]:
    from descent.hub.formats.gguf_out import gguf_parts

    return gguf_parts(bundle, dtype)


def _onnx(cache: bool) -> Callable[[Bundle, str], Iterator[Any]]:
    def parts(bundle: Bundle, dtype: str) -> Iterator[Any]:
        from descent.hub.formats.onnx import onnx_parts

        return onnx_parts(bundle, cache)

    return parts


_PARTS: dict[str, Callable[[Bundle, str], Iterator[Any]]] = {
    "gguf": _gguf, "onnx": _onnx(False), "onnx-cache": _onnx(True), "llm.c": _llmc,
    "llama2.c": _llama2c(0), "llama2.c-v1": _llama2c(1), "llama2.c-v2": _llama2c(2),
}  # fmt: skip

_WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "float32": 4, "float16": 2, "bfloat16": 2}


def _notes(bundle: Bundle, format: str, dtype: str, files: dict[str, int]) -> list[str]:
    """What is less exact than before, in sentences."""
    has_tokenizer = bundle.tokenizer is not None  # asked first: it may leave a note
    notes = list(bundle.about.get("notes", []))
    kinds = {s.kind for s in bundle.weights.stored.values()}
    if dtype in ("q8_0", "q4_0", "int8"):
        notes.append(f"weights were rounded to {dtype}; norms and biases stay float32")
    elif any(_WIDTH.get(kind, 0) > _WIDTH[dtype] for kind in kinds):
        notes.append(f"weights were rounded from {', '.join(sorted(kinds))} to {dtype}")
    elif kinds == {"BF16"} and dtype == "float16":
        notes.append("bfloat16 weights beyond float16's range or precision were rounded")
    elif any(kind.startswith("Q") for kind in kinds):
        notes.append(f"quantised weights were written as {dtype}: no smaller error than before")
    if has_tokenizer and format not in ("hf", "run", "gguf"):
        notes.append("the tokenizer was not written: this format has no place for one")
    return notes
