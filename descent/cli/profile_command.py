"""`descent profile RUN`: where the time of a training step goes, as tables and an HTML timeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from descent.cli.bench_model import check_seconds, work_named

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `profile` to the command line."""
    app.command("profile")(profile)


def profile(
    run: Annotated[str, typer.Argument(help="A run folder (or a model by name).")],
    out: Annotated[
        Path | None, typer.Option(help="Where the page goes. [default: RUN/timeline.html]")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Rows of a batch, if not the run's.")] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Compile the step too, and time its loops.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 4.0,
    top: Annotated[int, typer.Option(help="Rows of a table; the rest is summed up.")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Profile one training step of a run: its own model, data and settings. Nothing is trained."""
    from descent.costs import profile as measure
    from descent.data.files import write_atomically
    from descent.view.timeline import timeline_page

    check_seconds(seconds)
    work = work_named(run, batch=batch, block=None, training=True)
    report = measure(work, seconds=seconds, compiled=compiled)
    folder = Path(run)
    page = out or (folder / "timeline.html" if folder.is_dir() else Path(f"{run}-timeline.html"))
    write_atomically(page, timeline_page(report))
    if as_json:
        print(json.dumps(report.to_dict()))
        return
    from descent.cli.cost_tables import print_report

    console = Console()
    print_report(console, report, top=top)
    console.print(f"Timeline: {page}", highlight=False, soft_wrap=True)
