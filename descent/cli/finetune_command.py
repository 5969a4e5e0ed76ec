"""`descent finetune MODEL DATA`: its flags are the fields of `FinetuneSettings`, nothing else."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from descent.cli.up_command import Fresh, Host, Port, Runs, build_and_serve

__all__ = ["finetune", "register", "with_settings"]


def register(app: typer.Typer) -> None:
    """Add `finetune` to the command line."""
    from descent.train.finetune import FinetuneSettings

    app.command("finetune")(with_settings(FinetuneSettings, finetune))


def with_settings(table: type, command: Callable[..., None]) -> Callable[..., None]:
    """`command` with a flag for every field of `table` in place of its `**settings`, which holds
    those that were given. A field's metadata has its "help"; a tuple is given by commas."""
    hints = typing.get_type_hints(table)
    flags = {f.name: _flag(f, hints[f.name]) for f in fields(table)}
    own = inspect.signature(command, eval_str=True).parameters.values()
    named = [p for p in own if p.kind != p.VAR_KEYWORD and p.name not in flags]
    at = next((i for i, p in enumerate(named) if p.name == "name"), len(named))
    kind = inspect.Parameter.KEYWORD_ONLY
    new = [inspect.Parameter(n, kind, default=None, annotation=a) for n, a in flags.items()]
    named = [p.replace(kind=kind) for p in named]
    tuples = {n for n, hint in hints.items() if typing.get_origin(hint) is tuple}

    def run(**given: Any) -> None:
        settings = {n: given.pop(n) for n in flags}
        settings = {n: v for n, v in settings.items() if v is not None}
        for n in tuples & settings.keys():
            settings[n] = tuple(settings[n].split(","))
        command(**given, **settings)

    run.__doc__ = command.__doc__
    made: Any = run
    made.__signature__ = inspect.Signature([*named[:at], *new, *named[at:]])
    made.__annotations__ = {p.name: p.annotation for p in made.__signature__.parameters.values()}
    return run


def _flag(f: Any, hint: Any) -> Any:
    """The option of a field: its plainest type, its help with the default."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind = next((k for k in (float, int, bool) if k in kinds and str not in kinds), str)
    default = "" if f.default in (None, ()) else f" ({f.default})"
    dashed = f.name.replace("_", "-")
    names = [f"--{dashed}/--no-{dashed}"] if kind is bool else [f"--{dashed}"]
    return Annotated[
        kind | None, typer.Option(*names, help=f.metadata["help"] + default, show_default=False)
    ]


def finetune(
    model: Annotated[str, typer.Argument(help="A run folder, a model's folder or file, a name.")],
    data: Annotated[str | None, typer.Argument(help="File, folder or glob to learn from.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    serve: Annotated[bool, typer.Option(help="Serve when training is done.")] = True,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    **settings: Any,
) -> None:
    """Train a pretrained model on your text; shows losses and samples before and after."""
    from descent.goals.finetune import FinetuneOptions, up
    from descent.goals.folder import RunError
    from descent.train.finetune import FinetuneSettings

    try:
        chosen = FinetuneSettings.from_dict(settings)
    except ValueError as error:
        raise RunError(str(error)) from None
    build_and_serve(up, FinetuneOptions(model, data, chosen, name, runs, fresh), serve, host, port)
