"""`descent up names`: makemore's options over `descent.goals.names`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descent.cli.up_command import (
    Compile,
    Fresh,
    Host,
    Minutes,
    Port,
    Runs,
    Serve,
    Steps,
    build_and_serve,
)

__all__ = ["names"]


def names(
    data: Annotated[str | None, typer.Option(help="A file with one item per line.")] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    name: Annotated[str, typer.Option("--name", help="Name of the run folder.")] = "names",
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    serve: Serve = True,
    type: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="transformer (default), bigram, mlp, rnn, gru, lstm, bow, cnn, nplm, wavenet.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A published experiment: lecture-mlp, lecture-mlp-kaiming, lecture-batchnorm, "
            "lecture-wavenet."
        ),
    ] = None,
    n_layer: Annotated[int | None, typer.Option(help="Layers.")] = None,
    n_head: Annotated[int | None, typer.Option(help="Attention heads.")] = None,
    n_embd: Annotated[int | None, typer.Option(help="Width of the embedding.")] = None,
    n_embd2: Annotated[int | None, typer.Option(help="Width of the hidden layer.")] = None,
    block_size: Annotated[int | None, typer.Option(help="Context, in characters.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", "-b", help="Examples.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "-l", help="Peak learning rate.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", "-w", help="Pull of weights to 0.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Sample among the k likeliest; 0: all.")] = 0,
    samples: Annotated[int, typer.Option(help="How many to write in the report.")] = 20,
    sample_only: Annotated[
        bool, typer.Option("--sample-only", help="Write some, no more.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and batches.")] = None,
    compile: Compile = None,
) -> None:
    """A generator of names, or of anything that comes one per line."""
    from descent.goals.names import NamesOptions
    from descent.goals.names import up as build

    sizes = dict(
        n_layer=n_layer, n_head=n_head, n_embd=n_embd, n_hidden=n_embd2, block_size=block_size
    )
    training = dict(
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        seed=seed,
        compile=compile,
    )
    options = NamesOptions(
        data=data, minutes=minutes, steps=steps, name=name, runs=runs, fresh=fresh, type=type,
        preset=preset, top_k=top_k, samples=samples, sample_only=sample_only,
        model={k: v for k, v in sizes.items() if v is not None},
        training={k: v for k, v in training.items() if v is not None},
    )  # fmt: skip
    build_and_serve(build, options, serve and not sample_only, host, port)
