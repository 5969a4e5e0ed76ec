"""`descent bench model NAME|RUN`: what a step of a model costs, and what it could cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

__all__ = ["check_seconds", "register", "work_named"]


def register(bench: typer.Typer) -> None:
    """Add `model` to the group."""
    bench.command("model")(model)


def model(
    name: Annotated[str, typer.Argument(help="A model by name (gpt2, …) or a run folder.")],
    batch: Annotated[int | None, typer.Option(help="Rows of a batch.")] = None,
    block: Annotated[int | None, typer.Option(help="Tokens of a row (models by name).")] = None,
    inference: Annotated[
        bool, typer.Option("--inference", help="The forward pass alone, without gradients.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Compile the step too, and time its loops.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 4.0,
    top: Annotated[int, typer.Option(help="Rows of a table; the rest is summed up.")] = 16,
    again: Annotated[
        bool, typer.Option("--measure", help="Measure the machine's peaks again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Operations, bytes, floor and time of every op of a training step; tokens/s, MFU, memory."""
    from descent.costs import measure_machine, profile

    check_seconds(seconds)
    work = work_named(name, batch=batch, block=block, training=not inference)
    machine = measure_machine(again)
    report = profile(work, seconds=seconds, machine=machine, compiled=compiled)
    if as_json:
        print(json.dumps(report.to_dict()))
        return
    from descent.cli.cost_tables import print_report

    print_report(Console(), report, top=top)


def check_seconds(seconds: float) -> None:
    """Refuse a time that is none."""
    from descent.costs.errors import CostError

    if not 0 < seconds < float("inf"):
        raise CostError(f"--seconds must be positive: got {seconds:g}")


def work_named(name: str, *, batch: int | None, block: int | None, training: bool) -> Any:
    """A step of a model known by name, or of the run in a folder."""
    from descent.costs.errors import CostError
    from descent.costs.presets import PRESETS, preset_work

    for what, n in (("batch", batch), ("block", block)):
        if n is not None and n < 1:
            raise CostError(f"--{what} must be at least 1: got {n}")

    folder = Path(name)
    if name not in PRESETS and (folder.is_dir() or len(folder.parts) > 1):
        from descent.goals.folder import RunFolder
        from descent.goals.profiling import run_work

        if block is not None:
            raise CostError(f"--block: {name} is a run folder, whose model has its block size")
        return run_work(RunFolder.open(folder), batch=batch, training=training)
    return preset_work(name, batch=batch, block=block, training=training)
