"""`descent convert A B`: a model from one program's files into another's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

__all__ = ["convert", "register"]

console = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add `convert` to the command line."""
    app.command("convert")(convert)


def convert(
    model: Annotated[str, typer.Argument(help="A model file, folder, run, or name from the hub.")],
    out: Annotated[Path, typer.Argument(help="Where to write it: a file or a folder.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="hf, run, gguf, llama2.c, llama2.c-v1, llama2.c-v2, llm.c, onnx, onnx-cache; "
            "without it: by the suffix of OUT, a folder being hf."
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="How numbers are kept: float32, float16, bfloat16, q8_0, q4_0."),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer file or folder, for models without one.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT where it exists.")] = False,
) -> None:
    """Write a model in another format; says what it read, what it wrote and what was lost."""
    from descent.hub import find, load, save
    from descent.hub.formats.errors import FormatError

    source = find(model)
    if out.exists() and not force and (out.is_file() or any(out.iterdir())):
        raise FormatError(out, "exists already; --force replaces it")
    if out.exists() and out.resolve() == Path(source).resolve():
        raise FormatError(out, "is the model itself: choose another place")
    bundle = load(source)
    if tokenizer is not None:
        from descent.data.tokenizers import load_tokenizer

        bundle.tokenizer = load_tokenizer(tokenizer)
    _show("read ", str(source), bundle.about["format"], _model(bundle), bundle.weights.nbytes)
    saved = save(bundle, out, format, dtype)
    for path, size in saved.files.items():
        _show("wrote", path, saved.format, saved.dtype, size)
    for note in saved.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _model(bundle: Any) -> str:
    kinds = sorted({s.kind for s in bundle.weights.stored.values()})
    return f"{bundle.kind}, {bundle.weights.count:,} numbers in {', '.join(kinds)}"


def _show(what: str, path: str, form: str, about: str, size: int) -> None:
    from descent.costs.units import size as text_of

    line = f"{what} {path}  ({form}; {about}; {text_of(size)})"
    console.print(line, markup=False, soft_wrap=True)
