"""`descent pull NAME`: fetch a model from the hub, after saying what and how much."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

__all__ = ["pull", "register"]

console = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add `pull` to the command line."""
    app.command("pull")(pull)


def pull(
    name: Annotated[
        str, typer.Argument(help="owner/name[@revision][:QUANT], or a name of `descent models`.")
    ],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
    quant: Annotated[str | None, typer.Option(help="Which GGUF file, e.g. Q8_0.")] = None,
    token: Annotated[
        str | None, typer.Option(help="For a private model; safer in HF_TOKEN.")
    ] = None,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Only what is on this machine.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be fetched.")] = False,
) -> None:
    """Fetch a model: only the files it needs, verified, continued after a cut."""
    from descent.hub.pulling import is_offline, plan_pull
    from descent.hub.pulling import pull as fetch

    if is_offline(offline):
        console.print(str(fetch(name, revision=revision, quant=quant, offline=True)), markup=False)
        return
    plan = plan_pull(name, revision=revision, quant=quant, token=token)
    _show(plan)
    if dry_run:
        return
    path = _with_progress(plan)
    console.print(f"It is in {path}", markup=False, soft_wrap=True)
    console.print(f"Serve it: descent serve {name}", markup=False, soft_wrap=True)


def _show(plan: Any) -> None:
    from rich.filesize import decimal

    console.print(
        f"{plan.name.repo} at {plan.commit[:12]} from {plan.endpoint}, licence {plan.licence}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    wanted = {file.path for file in plan.wanted}
    for file in plan.files:
        here = "" if file.path in wanted else "  (here already)"
        console.print(f"  {decimal(file.size):>9}  {file.path}{here}", markup=False)
    missing = sum(file.size for file in plan.wanted)
    console.print(f"  {decimal(missing):>9}  to fetch", markup=False)


def _with_progress(plan: Any) -> Any:
    from rich import progress

    columns = (
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=sum(file.size for file in plan.wanted))
        return plan.run(lambda n: shown.advance(task, n))
