"""`descent deploy TARGET`: a run folder, a class or a YAML file becomes a service.

A node is started in the background where none runs; later commands find it.
"""

from __future__ import annotations

import importlib
import os
from functools import partial
from typing import Annotated, Any

import typer
from rich.text import Text

from descent.cli.deploy_common import (
    ApiName,
    Env,
    Output,
    Watch,
    client_of,
    console,
    show,
    watched,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands that deploy and look after what is deployed."""
    for name, command in {
        "deploy": deploy, "get": get, "describe": describe, "versions": versions,
        "refresh": refresh, "rollback": rollback, "promote": promote, "weights": weights,
        "delete": delete,
    }.items():  # fmt: skip
        app.command(name)(command)


def deploy(
    target: Annotated[
        str,
        typer.Argument(help="A YAML file, a run folder, file.py:Class, or package.module:Class."),
    ] = "descent.yaml",
    name: Annotated[str | None, typer.Option(help="The API's name.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="RealtimeAPI, AsyncAPI, BatchAPI or TaskAPI.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A field of the spec: max_concurrency=8 (again for more)."),
    ] = None,
    env: Env = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Load it anew even if nothing changed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accepted; nothing is asked.")] = False,
    port: Annotated[
        int | None, typer.Option(help="Port of a node that has to be started (default 8080).")
    ] = None,
    backend: Annotated[str | None, typer.Option(help="local, command or ray.")] = None,
    output: Output = "pretty",
) -> None:
    """Deploy; the old version answers until the new one is loaded, and goes on if that fails."""
    del yes
    overrides = _overrides(set_ or [], name=name, kind=kind, backend=backend)
    with _node_for(env, port) as node:
        results = node.deploy(_existing(target), force=force, **overrides)
        show(results, output, lambda each: [part for r in each for part in _deployed(r)])


def _node_for(env: str | None, port: int | None) -> Any:
    """The environment's node; this machine's own is started where it does not run."""
    from descent import __version__
    from descent.deploy.clients import client
    from descent.deploy.control.environments import Environments
    from descent.deploy.control.folders import Home
    from descent.deploy.control.launching import ensure
    from descent.deploy.control.settings import NodeSettings

    if Environments(Home()).find(env) is None:
        settings = NodeSettings.gather({"port": port})
        any_port = port is None and "DESCENT_PORT" not in os.environ
        import_client = partial(importlib.import_module, "httpx")  # both take their time
        running, started = ensure(settings, any_port=any_port, meanwhile=import_client)
        if running.version not in ("", __version__):
            said = f"the node is of Descent {running.version}, this is {__version__}: stop it"
            console.print(f"{said} (`descent node stop`) and deploy again", style="yellow")
        if started:
            message = f"node started at {running.url}  (`descent node stop` ends it)"
            console.print(message, style="dim", soft_wrap=True)
    return client(env)


def _existing(target: str) -> str:
    from pathlib import Path

    from descent.deploy.errors import DeployError

    if target == "descent.yaml" and not Path(target).exists():
        if Path("cortex.yaml").exists():
            return "cortex.yaml"
        raise DeployError(
            "there is no descent.yaml (or cortex.yaml) here: name a spec, a run folder or "
            "file.py:Class"
        )
    return target


def _overrides(assignments: list[str], **named: str | None) -> dict[str, Any]:
    from descent.deploy.errors import DeployError

    out: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    for assignment in assignments:
        field, equals, text = assignment.partition("=")
        if not equals or not field:
            raise DeployError(f"--set is {assignment!r}; field=value is needed")
        out[field] = _value(text)
    return out


def _value(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _deployed(result: dict[str, Any]) -> list[Any]:
    name, version = result["api"], result["version"]
    if not result["changed"]:
        head = Text(f"{name} is up to date (version {version})", "bold")
    else:
        took = f", loaded in {result['loaded_s']:.2f} s" if "loaded_s" in result else ""
        head = Text(f"{name} is live: version {version}{took}", "bold green")
    lines: list[Any] = [head, Text(f"  {result['url']}")]
    if result.get("curl"):
        lines.append(Text(f"  {result['curl']}"))
    if result.get("notes"):
        lines.append(Text(f"  note: {result['notes']}", "dim"))
    return lines


def get(
    api: Annotated[str | None, typer.Argument(help="An API's name; none: all of them.")] = None,
    job: Annotated[str | None, typer.Argument(help="A job of it.")] = None,
    env: Env = None,
    watch: Watch = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Accepted; -o json is.")] = False,
    output: Output = "pretty",
) -> None:
    """Show what is deployed, or one API, or a job."""
    del verbose
    from descent.cli.deploy_tables import apis_table, description, jobs_table

    with client_of(env) as node:

        def draw() -> None:
            if api is None:
                show(node.list_apis(), output, lambda a: apis_table(a) if a else _NOTHING)
            elif job is None:
                show(node.get_api(api), output, description)
            else:
                show(node.get_job(api, job), output, lambda found: jobs_table([found]))

        watched(draw, watch)


_NOTHING = "nothing is deployed: `descent deploy TARGET`"


def describe(
    api: ApiName, env: Env = None, watch: Watch = False, output: Output = "pretty"
) -> None:
    """Show everything about an API: replicas, versions, why it is as it is."""
    from descent.cli.deploy_tables import description

    with client_of(env) as node:
        watched(lambda: show(node.get_api(api), output, description), watch)


def versions(api: ApiName, env: Env = None, output: Output = "pretty") -> None:
    """List an API's versions: who, when, what changed, which is live."""
    from descent.cli.deploy_tables import versions_table

    with client_of(env) as node:
        show(node.versions(api), output, versions_table)


def refresh(
    api: ApiName,
    env: Env = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Accepted; always done.")] = False,
    output: Output = "pretty",
) -> None:
    """Load the live version anew, beside itself, and switch."""
    with client_of(env) as node:
        show(
            node.refresh(api, force), output, lambda v: f"{api}: version {v['number']} loaded anew"
        )


def rollback(
    api: ApiName,
    version: Annotated[int | None, typer.Argument(help="None: the good one before.")] = None,
    env: Env = None,
    output: Output = "pretty",
) -> None:
    """Go back to an earlier version."""
    with client_of(env) as node:
        show(node.rollback(api, version), output, lambda v: f"{api} is at version {v['number']}")


def promote(
    splitter: ApiName,
    api: Annotated[str, typer.Argument(help="The API that gets all of its traffic.")],
    env: Env = None,
    output: Output = "pretty",
) -> None:
    """Give all of a TrafficSplitter's traffic to one of its APIs."""
    with client_of(env) as node:
        show(node.promote(splitter, api), output, lambda v: f"{splitter}: all traffic to {api}")


def weights(
    splitter: ApiName,
    shares: Annotated[list[str], typer.Argument(help="old=90 new=10")],
    env: Env = None,
    output: Output = "pretty",
) -> None:
    """Divide a TrafficSplitter's traffic otherwise, without losing a request."""
    from descent.deploy.errors import DeployError

    try:
        given = {name: int(text) for name, _, text in (share.partition("=") for share in shares)}
    except ValueError:
        raise DeployError("shares are written api=percent, as in old=90 new=10") from None
    with client_of(env) as node:
        done = node.set_weights(splitter, given)
        show(done, output, lambda v: f"{splitter}: {', '.join(shares)} (version {v['number']})")


def delete(
    api: ApiName,
    job: Annotated[str | None, typer.Argument(help="Stop this job instead.")] = None,
    env: Env = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Even while a splitter sends traffic to it.")
    ] = False,
    keep_cache: Annotated[
        bool, typer.Option("--keep-cache", "-c", help="Keep its jobs and their results.")
    ] = False,
    output: Output = "pretty",
) -> None:
    """End an API (or stop a job): requests in flight finish, then everything is freed."""
    with client_of(env) as node:
        if job is not None:
            show(node.stop_job(api, job), output, lambda _: f"stopped {job}")
        else:
            done = node.delete(api, keep_cache=keep_cache, force=force)
            show(done, output, lambda _: f"deleted {api}")
