"""`descent bench`: what the machine does, measured."""

from __future__ import annotations

import typer

from descent.cli import bench_ladder, bench_model

__all__ = ["bench", "register"]

bench = typer.Typer(help="Measure: the rungs of an op, the cost of a model.", no_args_is_help=True)
bench_ladder.register(bench)
bench_model.register(bench)


def register(app: typer.Typer) -> None:
    """Add the group `bench` to the command line."""
    app.add_typer(bench, name="bench")
