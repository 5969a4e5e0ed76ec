"""`descent COMMAND`: the commands, and how errors reach a person.

An error a user can cause (`EXPECTED`) is one sentence on stderr and exit code 1; anything else is a
defect of ours and keeps its traceback.
"""

from __future__ import annotations

import errno
import sys

import typer
from rich.console import Console

from descent import __version__
from descent.cli import (
    ask_command,
    bench_command,
    convert_command,
    deploy_command,
    explain_command,
    finetune_command,
    generate_command,
    models_command,
    node_command,
    pretrain_command,
    profile_command,
    pull_command,
    run_command,
    serve_command,
    show_command,
    up_command,
    up_names,
    up_translate,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="descent",
    help="From a live ML service down to the single multiplication and its derivative.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
up_command.register(app)
serve_command.register(app)
up_command.up.command("names")(up_names.names)
up_command.up.command("translate")(up_translate.translate)
finetune_command.register(app)
pretrain_command.register(app)
generate_command.register(app)
explain_command.register(app)
show_command.register(app)
run_command.register(app)
bench_command.register(app)
profile_command.register(app)
convert_command.register(app)
pull_command.register(app)
models_command.register(app)
deploy_command.register(app)
ask_command.register(app)
node_command.register(app)


@app.command()
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
        app()
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
