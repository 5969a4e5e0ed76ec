"""`descent run SCRIPT`: run a PyTorch teaching script with Descent under the name `torch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `run` to the command line."""
    settings = {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,  # what follows the script is the script's, --help too
    }
    app.command("run", context_settings=settings)(run)


def run(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(help="A Python script that imports torch.")],
) -> None:
    """Run a script unchanged, `import torch` giving Descent; later arguments are its own."""
    from descent.compat.torch_script import run_script

    run_script(script, context.args)
