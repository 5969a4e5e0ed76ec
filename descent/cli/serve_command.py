"""`descent serve MODEL …`: serve runs, files and the hub's models, several in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

__all__ = ["register", "serve", "serve_opened"]

console = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add `serve` to the command line."""
    app.command("serve")(serve)


def serve(
    models: Annotated[
        list[str],
        typer.Argument(help="Run folder, model folder or file, or a name (`descent models`)."),
    ],
    width: Annotated[
        str | None, typer.Option(help="Weights as float32, bf16, int8 or int4.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="The name in the API; once for each model.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on (loopback unless told otherwise).")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to serve on; 0 picks a free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(help="Clients must send it as a bearer token.", envvar="DESCENT_API_KEY"),
    ] = None,
    context: Annotated[int | None, typer.Option(help="Tokens a sequence may have.", min=8)] = None,
    chat_template: Annotated[
        Path | None, typer.Option(help="A file with a chat template, in place of the model's.")
    ] = None,
    parallel: Annotated[
        int, typer.Option(help="Requests computed together, per model.", min=1)
    ] = 16,
    queue: Annotated[int, typer.Option(help="Requests waiting beyond that.", min=0)] = 64,
) -> None:
    """Serve models: OpenAI's API and a page."""
    from descent.data.errors import DataError
    from descent.goals.opening import open_model
    from descent.serve.server import check_free

    if alias and len(alias) != len(models):
        raise DataError(f"--alias is given {len(alias)} times for {len(models)} models")
    check_free(host, port)
    template = None if chat_template is None else chat_template.read_text(encoding="utf-8")
    opened = []
    for i, model in enumerate(models):
        name = alias[i] if alias else None
        made = open_model(model, width=width, name=name, context=context, chat_template=template)
        for note in made.notes:
            console.print(f"{made.completer.name}: {note}", markup=False, soft_wrap=True)
        opened.append(made)
    names = [made.completer.name for made in opened]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(f"two models are called {twice.pop()}: name them with --alias")
    limits = {"max_running": parallel, "max_waiting": queue}
    serve_opened(opened, host, port, api_key=api_key, **limits)


def serve_opened(
    opened: list[Any], host: str, port: int, api_key: str | None = None, **limits: Any
) -> None:
    """Serve what is open already until it is told to stop."""
    from descent.goals.opening import Explainable
    from descent.serve import serve as run
    from descent.view.pages import explain_routes

    run(
        [made.completer for made in opened],
        host,
        port,
        started=lambda url: _announce(url, opened, api_key),
        limits=_limits(limits),
        extra_routes=explain_routes(Explainable(opened)),
        api_key=api_key,
    )


def _limits(given: dict[str, Any]) -> Any:
    from descent.serve.service import Limits

    return Limits(**given)


def _announce(url: str, opened: list[Any], api_key: str | None) -> None:
    console.print(f"\n[bold green]Serving at {url}[/]  (Ctrl-C stops)")
    key = " -H 'Authorization: Bearer …'" if api_key else ""
    for made in opened:
        completer = made.completer
        path, body = _example(completer)
        console.print(
            f"  curl {url}{path} -H 'Content-Type: application/json'{key} -d '{json.dumps(body)}'",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        if folder := completer.info.get("folder"):
            shown = json.dumps(body.get("prompt", ""))
            console.print(
                f"  descent explain {folder} --prompt {shown}   opens its floors",
                markup=False, soft_wrap=True,
            )  # fmt: skip


def _example(completer: Any) -> tuple[str, dict[str, Any]]:
    if completer.chat is not None:
        messages = [{"role": "user", "content": "Hello!"}]
        return "/v1/chat/completions", {"model": completer.name, "messages": messages}
    prompt = completer.info.get("prompt", "Once upon a time")
    return "/v1/completions", {"model": completer.name, "prompt": prompt, "max_tokens": 32}
