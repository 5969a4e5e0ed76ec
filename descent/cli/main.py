"""`descent COMMAND`: the commands, and how errors reach a person.

An error a user can cause (`EXPECTED`) is one sentence on stderr and exit code 1; anything else is a
defect of ours and keeps its traceback.
"""

from __future__ import annotations

import errno
import importlib
import sys
from functools import cache
from typing import Any

import typer
from rich.console import Console

from descent import __version__

__all__ = ["COMMANDS", "app", "assemble", "main"]

app: typer.Typer  # with all commands; made when it is asked for

# Module → its commands. One command is asked for at a time, and only its module is imported.
COMMANDS: dict[str, tuple[str, ...]] = {
    "up_command": ("up",),
    "serve_command": ("serve",),
    "finetune_command": ("finetune",),
    "pretrain_command": ("pretrain", "tokens"),
    "generate_command": ("generate",),
    "explain_command": ("explain",),
    "show_command": ("show",),
    "run_command": ("run",),
    "bench_command": ("bench",),
    "profile_command": ("profile",),
    "convert_command": ("convert",),
    "pull_command": ("pull",),
    "models_command": ("models",),
    "deploy_command": (
        "deploy", "get", "describe", "versions", "refresh", "rollback", "promote", "weights",
        "delete",
    ),
    "ask_command": ("predict", "submit", "jobs", "logs"),
    "client_command": ("client",),
    "node_command": ("node", "env"),
    "cluster_command": ("cluster",),
    "keys_command": ("keys",),
}  # fmt: skip


@cache
def assemble(wanted: str | None = None) -> typer.Typer:
    """The command line: with all commands, or with the module of the wanted one alone."""
    app = typer.Typer(
        name="descent",
        help="From a live ML service down to the single multiplication and its derivative.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
    )
    found = [module for module, names in COMMANDS.items() if wanted in names]
    for module in found or COMMANDS:
        importlib.import_module(f"descent.cli.{module}").register(app)
    app.command()(version)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":  # `from descent.cli.main import app`: everything
        return assemble()
    raise AttributeError(name)


def version() -> None:
    """Print the version."""
    print(__version__)


def expected_errors() -> tuple[type[BaseException], ...]:
    """What a user's input can cause: reported as one sentence."""
    from descent.costs.errors import CostError
    from descent.data.errors import DataError
    from descent.deploy.errors import DeployError
    from descent.goals.folder import RunError
    from descent.serve.server import AddressInUse
    from descent.train.checkpoint import CheckpointError
    from descent.train.nonfinite import NonFiniteError
    from descent.view.errors import QuestionError

    return (
        CostError,
        DataError,
        DeployError,
        RunError,
        CheckpointError,
        NonFiniteError,
        AddressInUse,
        QuestionError,
    )


def main() -> None:
    """Entry point of the `descent` command."""
    try:
        assemble(sys.argv[1] if len(sys.argv) > 1 else None)()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        Console(stderr=True).print(
            f"descent: {sentence}", style="red", highlight=False, markup=False, soft_wrap=True
        )
        sys.exit(1)


def _sentence(error: Exception) -> str | None:
    """What to tell the user; None for a defect of ours."""
    if isinstance(error, expected_errors()):
        return str(error)
    if isinstance(error, ImportError) and "descent-ml[" in str(error):
        return str(error)  # an optional part is not installed
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"the disk is full{where}: what was written before is whole; make room and run "
                "the same command again"
            )
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return f"no permission to write here{where}: choose another place with --runs"
    return None
