"""`descent client API > client.py`: a typed client's source; `--curl`: a line for the shell."""

from __future__ import annotations

from typing import Annotated

import typer

from descent.cli.deploy_common import ApiName, Env, client_of

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `client` to the command line."""
    app.command("client")(client)


def client(
    api: ApiName,
    env: Env = None,
    curl: Annotated[bool, typer.Option("--curl", help="A curl line instead.")] = False,
) -> None:
    """Write a Python client of an API, with its types: one file that needs httpx alone."""
    from descent.deploy.service.curl import curl_line
    from descent.deploy.service.typed_client import client_source

    with client_of(env) as node:
        known = node.get_api(api)
        url = f"{node.url}{known['endpoint']}"
    if curl:
        print(curl_line(url, known.get("signature"), kind=known["kind"]))
    else:
        print(client_source(api, url, known.get("signature"), kind=known["kind"]), end="")
