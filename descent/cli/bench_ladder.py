"""`descent bench ladder OP`: the time of every rung of an op, beside PyTorch where it is there."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from descent.view.ladder import Rung
    from descent.view.peers import TorchPeer

__all__ = ["register"]


def register(bench: typer.Typer) -> None:
    """Add `ladder` to the group."""
    bench.command("ladder")(ladder)


def ladder(
    op: Annotated[str, typer.Argument(help="Name of an op, or 'all'.")],
    peer: Annotated[bool, typer.Option(help="Time PyTorch too, if it is installed.")] = True,
) -> None:
    """Time an op's rungs: plain loops, compiled, NumPy, tuned; at a few sizes, with gradients."""
    from descent.view.examples import has_examples
    from descent.view.ladder import climb
    from descent.view.ops import all_ops, find_op
    from descent.view.peers import TorchPeer

    console = Console()
    with TorchPeer(wanted=peer) as torch:
        chosen = filter(has_examples, all_ops().values()) if op == "all" else [find_op(op)]
        for one in chosen:
            for (what, case), rungs in itertools.groupby(climb(one), lambda r: (r.op, r.case)):
                console.print(f"\n{what} on {case}", style="bold", highlight=False)
                console.print(_table(list(rungs), torch))
        console.print(f"\n≈ measured on a few elements and scaled. {torch.note}.", style="dim")


def _table(rungs: list[Rung], torch: TorchPeer) -> Table:
    """The rungs of one case, lowest first, and PyTorch's time beside the highest."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("rung", min_width=8)
    for column in ("time", "rate", "× rung below"):
        table.add_column(column, justify="right", min_width=12)
    for row in rungs:
        below = f"{row.times_below:,.1f}" if row.times_below else ""
        table.add_row(row.rung, ("≈ " if row.scaled else "") + _time(row.seconds), row.rate, below)
    theirs = torch.seconds(rungs[0].op, rungs[0].shapes)
    if theirs:
        ours = rungs[-1]
        table.add_row("PyTorch", _time(theirs), "", f"({ours.rung}: {theirs / ours.seconds:.2f} ×)")
    return table


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{1e6 * seconds:,.1f} µs"
    return f"{1e3 * seconds:,.2f} ms" if seconds < 1 else f"{seconds:,.2f} s"
