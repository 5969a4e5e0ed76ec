"""`descent up GOAL`: learn, serve, print the address."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

__all__ = ["build_and_serve", "register", "up"]

console = Console()
up = typer.Typer(help="Build a goal: learn from data, save a run folder, serve it.")


def register(app: typer.Typer) -> None:
    """Add `up` to the command line."""
    from descent.cli import up_names, up_translate

    if len(up.registered_commands) < 3:
        up.command("names")(up_names.names)
        up.command("translate")(up_translate.translate)
    app.add_typer(up, name="up")


Data = Annotated[
    str | None,
    typer.Option(
        help="Folder, file or glob of text to learn from; 'installed': this Python's packages."
    ),
]
Minutes = Annotated[float | None, typer.Option(help="Training time; given again, goes on.")]
Steps = Annotated[int | None, typer.Option(help="Training steps, instead of --minutes.")]
Name = Annotated[str, typer.Option(help="Name of the run folder.")]
Runs = Annotated[Path, typer.Option(help="Where run folders lie.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over, discarding the run.")]
Host = Annotated[str, typer.Option(help="Address to serve on (loopback unless told otherwise).")]
Port = Annotated[int, typer.Option(help="Port to serve on; 0 picks a free one.")]
Serve = Annotated[bool, typer.Option(help="Serve when training is done.")]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Train in a compiled step (default: if it pays)."),
]


class Stopper:
    """Ctrl-C or SIGTERM asks training to save and stop; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stopper:
        if threading.current_thread() is threading.main_thread():
            for sig in (signal.SIGINT, signal.SIGTERM):
                self.before[sig] = signal.signal(sig, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        for sig, handler in self.before.items():
            signal.signal(sig, handler)

    def _handle(self, sig: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        console.print("Saving and stopping (once more to stop at once) …", highlight=False)


@up.command("complete")
def complete(
    data: Data = None,
    minutes: Minutes = None,
    steps: Steps = None,
    name: Name = "complete",
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    serve: Serve = True,
    type: Annotated[str | None, typer.Option("--type", help="Model type (default gpt).")] = None,
    preset: Annotated[
        str | None, typer.Option(help="A published experiment: lecture-gpt (Shakespeare).")
    ] = None,
    n_layer: Annotated[int | None, typer.Option(help="Layers.")] = None,
    n_head: Annotated[int | None, typer.Option(help="Attention heads.")] = None,
    n_embd: Annotated[int | None, typer.Option(help="Width.")] = None,
    block_size: Annotated[int | None, typer.Option(help="Context, in tokens.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    vocab_size: Annotated[int, typer.Option(help="Byte pairs of the tokenizer.")] = 2048,
    characters: Annotated[bool, typer.Option(help="One token per character.")] = False,
    scratch: Annotated[
        bool,
        typer.Option("--scratch", help="Begin with nothing, not with the base in the package."),
    ] = False,
    infill: Annotated[
        float, typer.Option(help="Share of documents to learn filling in the middle from.")
    ] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and batches.")] = None,
    compile: Compile = None,
) -> None:
    """A code or text completer from your files; by default, the code in this folder."""
    from descent.goals.complete import CompleteOptions
    from descent.goals.complete import up as build

    sizes = dict(n_layer=n_layer, n_head=n_head, n_embd=n_embd, block_size=block_size)
    training = dict(batch_size=batch_size, learning_rate=learning_rate, seed=seed, compile=compile)
    options = CompleteOptions(
        data=data, minutes=minutes, steps=steps, name=name, runs=runs, fresh=fresh, type=type,
        preset=preset, vocab_size=vocab_size, characters=characters, infill=infill,
        scratch=scratch,
        model={k: v for k, v in sizes.items() if v is not None},
        training={k: v for k, v in training.items() if v is not None},
    )  # fmt: skip
    build_and_serve(build, options, serve, host, port)


def build_and_serve(build: Any, options: Any, serve: bool, host: str, port: int) -> None:
    from descent.cli.progress import TrainingDisplay  # late: it brings the training loop

    if serve:
        _check_port(host, port)
    ready = None
    with Stopper() as stopper, TrainingDisplay(console) as display:
        for event in build(options, should_stop=lambda: stopper.asked):
            display.show(event)
            ready = event
    if ready is None or not hasattr(ready, "run"):
        if stopper.asked:
            console.print("Run the same command again to go on.", highlight=False)
        return
    console.print(f"The run is in [bold]{escape(str(ready.run.path))}[/].", highlight=False)
    if stopper.asked:
        console.print("Run the same command again to go on.", highlight=False)
    elif serve:
        _serve(ready.run, ready.model, ready.tokenizer, host, port)
    else:
        console.print(f"Serve it: descent serve {ready.run.path}", highlight=False, markup=False)


def _check_port(host: str, port: int) -> None:
    """Find out that a port is taken before training for minutes."""
    from descent.serve.server import check_free

    check_free(host, port)


def _serve(run: Any, model: Any, tokenizer: Any, host: str, port: int) -> None:
    from descent.cli.serve_command import serve_opened
    from descent.goals.opening import opened_run

    serve_opened([opened_run(run, model, tokenizer)], host, port)
