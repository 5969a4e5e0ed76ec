"""`descent models`: what can be pulled or is here, its size and licence, and what runs here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["models", "register"]


def register(app: typer.Typer) -> None:
    """Add `models` to the command line."""
    app.command("models")(models)


def models(
    output: Annotated[str, typer.Option("--output", "-o", help="pretty or json.")] = "pretty",
    runs: Annotated[Path, typer.Option(help="Where run folders lie.")] = Path("runs"),
    measure: Annotated[
        bool, typer.Option(help="Measure this machine's memory (once, two seconds).")
    ] = True,
) -> None:
    """Known models and your runs: parameters, size, licence, here or not, speed on this machine."""
    from descent.hub.listing import (
        boxed_models,
        free_memory_bytes,
        known_models,
        local_runs,
    )

    if output not in ("pretty", "json"):
        raise typer.BadParameter(f"-o {output}: use pretty or json")
    free, bandwidth = free_memory_bytes(), None
    if measure:
        from descent.costs.machine import measure_machine

        bandwidth = measure_machine().bandwidth
    rows = [
        *local_runs(runs),
        *boxed_models(free, bandwidth),
        *known_models(free, bandwidth),
    ]
    if output == "json":
        print(json.dumps({"free_bytes": free, "models": [row.to_dict() for row in rows]}, indent=1))
        return
    console = Console(highlight=False)
    console.width = max(console.width, 118)  # rather wrapped by the terminal than cut off
    console.print(_table(rows))
    if free is not None:
        console.print(
            f"In each width: bytes of weights, and the tokens/s the memory allows; — : more than "
            f"the {free / 1e9:.1f} GB that are free. `descent pull NAME` fetches, `descent serve "
            "NAME` serves.",
            markup=False,
            soft_wrap=True,
        )


def _table(rows) -> Table:
    widths = ("float32", "int8", "int4")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "size", "context", "licence", "here", *widths):
        text = name in ("name", "licence", "here")
        table.add_column(name, justify="left" if text else "right", no_wrap=True)
    for row in rows:
        licence = row.licence + (" (gated)" if row.gated else "")
        cells = [_width(row.widths.get(width)) for width in widths]
        table.add_row(
            row.name,
            "" if row.parameters is None else _short(row.parameters),
            "" if row.context is None else f"{row.context:,}",
            licence,
            "yes" if row.here else "",
            *cells,
        )
    return table


def _width(at) -> str:
    if at is None:
        return ""
    size = _short(at["weight_bytes"]) + "B"
    if at["fits"] is False:
        return f"{size} —"
    speed = at["tokens_per_s"]
    return size if speed is None else f"{size} {speed:,.0f}/s"


def _short(n: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f} "
