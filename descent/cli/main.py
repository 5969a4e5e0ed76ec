"""`descent COMMAND`: the commands, and how errors reach a person.

An error a user can cause (`EXPECTED`) is one sentence on stderr and exit code 1; anything else is a
defect of ours and keeps its traceback.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from descent import __version__
from descent.cli import explain_command, run_command, show_command, up_command, up_names

__all__ = ["app", "main"]

app = typer.Typer(
    name="descent",
    help="From a live ML service down to the single multiplication and its derivative.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
up_command.register(app)
up_command.up.command("names")(up_names.names)
explain_command.register(app)
show_command.register(app)
run_command.register(app)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def expected_errors() -> tuple[type[BaseException], ...]:
    """What a user's input can cause: reported as one sentence."""
    from descent.data.errors import DataError
    from descent.goals.folder import RunError
    from descent.serve.server import AddressInUse
    from descent.train.checkpoint import CheckpointError
    from descent.train.nonfinite import NonFiniteError
    from descent.view.errors import QuestionError

    return (
        DataError,
        RunError,
        CheckpointError,
        NonFiniteError,
        AddressInUse,
        QuestionError,
        ImportError,
    )


def main() -> None:
    """Entry point of the `descent` command."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if isinstance(error, expected_errors()) or _disk_full(error):
            Console(stderr=True).print(
                f"descent: {error}", style="red", highlight=False, markup=False, soft_wrap=True
            )
            sys.exit(1)
        raise


def _disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (28, 122, 13, 30)
