"""`descent show OP`: formula, source, example, gradient check and timing of an op."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `show` to the command line."""
    app.command("show")(show)


def show(
    op: Annotated[str | None, typer.Argument(help="Name of an op; without it, all names.")] = None,
) -> None:
    """Show an op: what it computes, its loops, its gradient checked, the time of each rung."""
    from descent.view.ops import op_names, show_op

    console = Console()
    if op is None:
        console.print("  ".join(op_names()), highlight=False)
        return
    console.print(show_op(op), highlight=False, markup=False)
