"""`descent pretrain DATA` and `descent tokens DATA OUT`; flags are the settings' fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from descent.cli.finetune_command import with_settings
from descent.cli.up_command import Fresh, Host, Port, Runs, build_and_serve

__all__ = ["pretrain", "register", "tokens"]


def register(app: typer.Typer) -> None:
    """Add `pretrain` and `tokens` to the command line."""
    from descent.train.pretrain import PretrainSettings

    app.command("pretrain")(with_settings(PretrainSettings, pretrain))
    app.command("tokens")(tokens)


def pretrain(
    data: Annotated[str, typer.Argument(help="Folder or glob of token files (*.bin), or a text.")],
    preset: Annotated[
        str | None, typer.Option(help="shakespeare-char-cpu, shakespeare-char, gpt2-124m.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the run folder.")] = "pretrain",
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    serve: Annotated[bool, typer.Option(help="Serve when training is done.")] = False,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    **settings: Any,
) -> None:
    """Train a GPT from nothing; nanoGPT's settings by their names."""
    from descent.goals.folder import RunError
    from descent.goals.pretrain import PretrainOptions, up
    from descent.train.pretrain import PRETRAIN_PRESETS, PretrainSettings

    if preset is not None and preset not in PRETRAIN_PRESETS:
        raise RunError(f"unknown preset {preset!r}; known: {', '.join(PRETRAIN_PRESETS)}")
    try:
        chosen = PretrainSettings.from_dict({**PRETRAIN_PRESETS.get(preset or "", {}), **settings})
    except ValueError as error:
        raise RunError(str(error)) from None
    build_and_serve(up, PretrainOptions(data, chosen, name, runs, fresh), serve, host, port)


def tokens(
    data: Annotated[str, typer.Argument(help="Text: a file, folder or glob.")],
    out: Annotated[Path, typer.Argument(help="The folder that receives the token files.")],
    tokenizer: Annotated[str, typer.Option(help="gpt2, chars, or a tokenizer's file.")] = "gpt2",
    val_fraction: Annotated[float, typer.Option(help="Share held out, at the end.")] = 0.1,
    shard_tokens: Annotated[int, typer.Option(help="Tokens per file.")] = 100_000_000,
) -> None:
    """Encode text into token files for `descent pretrain` (llm.c's format)."""
    from descent.goals.pretrain import make_tokens

    console = Console()
    for said in make_tokens(
        data, out, tokenizer=tokenizer, val_fraction=val_fraction, shard_tokens=shard_tokens
    ):
        console.print(said.text, highlight=False, markup=False)
