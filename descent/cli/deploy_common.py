"""What the commands that talk to a node share: options, the client, output, completion."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

__all__ = [
    "ApiName", "Env", "Output", "Watch", "client_of", "console", "show", "watched",
]  # fmt: skip

_AT_LEAST = None if sys.stdout.isatty() else 160  # a file is as wide as it needs to be
console = Console(highlight=False, width=_AT_LEAST)


def complete_api(incomplete: str) -> list[str]:
    """Names of the APIs of the node that runs, for the shell; nothing where it can't be asked."""
    try:
        from descent.deploy.clients import client

        with client() as node:
            node.patience_s = 0.0
            return [api["name"] for api in node.list_apis() if api["name"].startswith(incomplete)]
    except Exception:
        return []


Env = Annotated[
    str | None,
    typer.Option("--env", "-e", help="Which node: an environment's name (`descent env list`).",
                 envvar="DESCENT_ENV"),
]  # fmt: skip
Output = Annotated[str, typer.Option("--output", "-o", help="pretty or json.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds.")]
ApiName = Annotated[str, typer.Argument(help="The API's name.", autocompletion=complete_api)]


def client_of(env: str | None) -> Any:
    """A client of the node the user means."""
    from descent.deploy.clients import client

    return client(env)


def show(value: Any, output: str, pretty: Callable[[Any], Any]) -> None:
    """Print a value as JSON, or what `pretty` makes of it. Raises `DeployError`."""
    from descent.deploy.errors import DeployError

    if output == "json":
        print(json.dumps(value, indent=1, ensure_ascii=False))
    elif output == "pretty":
        made = pretty(value)
        for part in made if isinstance(made, list) else [made]:
            console.print(part, soft_wrap=True)
    else:
        raise DeployError(f"--output is {output!r}; there are pretty and json")


def watched(draw: Callable[[], None], watch: bool) -> None:
    """Draw once, or again and again on a cleared screen until Ctrl-C."""
    draw()
    while watch:
        time.sleep(2.0)
        console.clear()
        draw()
