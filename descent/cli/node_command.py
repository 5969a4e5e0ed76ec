"""`descent node`: run a node in the foreground, look at it, stop it; `descent env`: name others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descent.cli.deploy_common import Env, Output, client_of, console, show

__all__ = ["register"]

node = typer.Typer(help="The process that serves what is deployed.", invoke_without_command=True)
env = typer.Typer(help="Names for nodes elsewhere.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `node` and `env`."""
    app.add_typer(node, name="node")
    app.add_typer(env, name="env")


@node.callback()
def run(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option(help="Address to serve on (loopback unless told otherwise).")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one. 8080.")] = None,
    home: Annotated[Path | None, typer.Option(help="Where all is kept. ~/.descent.")] = None,
    database_url: Annotated[
        str | None, typer.Option(help="sqlite:///path or postgresql://…")
    ] = None,
    files_url: Annotated[
        str | None, typer.Option(help="Where results of jobs go: a folder, s3://…")
    ] = None,
    memory_limit: Annotated[
        str | None, typer.Option(help="Models beyond it are unloaded by least use: 8G.")
    ] = None,
    backend: Annotated[str | None, typer.Option(help="local, command or ray.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="A page's origin that may call; again for more.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A Host header to answer, too (behind a proxy).")
    ] = None,
    require_keys: Annotated[
        bool | None, typer.Option("--require-keys", help="Requests need an API key.")
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Reachable without keys and TLS.")
    ] = None,
    traces: Annotated[
        str | None, typer.Option(help="Send traces (OTLP over HTTP): http://localhost:4318.")
    ] = None,
) -> None:
    """Run a node here until Ctrl-C; it is started again when it dies."""
    if context.invoked_subcommand is not None:
        return
    from descent.deploy.control.launching import exec_foreground
    from descent.deploy.control.settings import NodeSettings, read_bytes

    settings = NodeSettings.gather(
        {
            "host": host, "port": port, "home": home, "database_url": database_url,
            "files_url": files_url, "backend": backend, "tls_certificate": tls_cert,
            "tls_key": tls_key, "require_keys": require_keys, "insecure": insecure,
            "traces": traces,
            "cors_origins": tuple(cors_origin) if cors_origin else None,
            "allowed_hosts": tuple(allow_host) if allow_host else None,
            "memory_limit_bytes": read_bytes(memory_limit) if memory_limit else None,
        }
    )  # fmt: skip
    exec_foreground(settings)


@node.command("stop")
def stop() -> None:
    """End this machine's node: requests in flight finish; what is deployed stays deployed."""
    from descent.deploy.control.folders import Home
    from descent.deploy.control.launching import stop as stop_node

    console.print("stopped" if stop_node(Home()) else "no node runs here")


@node.command("info")
def info(env: Env = None, output: Output = "pretty") -> None:
    """Show the node: address, process, state, settings."""
    with client_of(env) as found:
        show(found.info(), output, lambda i: "\n".join(f"{k}: {v}" for k, v in i.items()))


@node.command("token")
def token() -> None:
    """Print this machine's node's token (the control API wants it)."""
    from descent.deploy.control.folders import Home

    print(Home().token)


@node.command("page")
def page() -> None:
    """Print the address of this machine's node's page, the token in it."""
    from descent.deploy.control.folders import Home
    from descent.deploy.errors import DeployError

    home = Home()
    running = home.running()
    if running is None:
        raise DeployError("no node runs here: `descent node`, or deploy something")
    print(f"{running.url}/-/#token={home.token}")


@node.command("backup")
def backup(target: Annotated[Path, typer.Argument(help="A folder that is not there yet.")]) -> None:
    """Copy what this machine's node keeps, while it works; `--home` of another starts from it."""
    from descent.deploy.control.backups import back_up
    from descent.deploy.control.folders import Home

    made = back_up(Home(), target)
    console.print(f"{made.path}: {made.files} files, {made.size_bytes / 1e6:.1f} MB", markup=False)
    for what in made.left_out:
        console.print(f"not in it: {what}", markup=False)


@node.command("dashboard")
def dashboard() -> None:
    """Print Grafana's dashboard as JSON, to be imported there."""
    import json

    from descent.deploy.dashboards import dashboard

    print(json.dumps(dashboard(), indent=1))


@node.command("alerts")
def alerts() -> None:
    """Print Prometheus' alert rules as YAML."""
    from descent.deploy.dashboards import alert_rules

    print(_as_yaml(alert_rules()), end="")


@node.command("scrape")
def scrape(
    url: Annotated[str | None, typer.Option(help="Of a node elsewhere; else this one's.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="The node requires keys.")] = False,
) -> None:
    """Print Prometheus' scrape configuration as YAML."""
    from descent.deploy.control.folders import Home
    from descent.deploy.dashboards import scrape_config

    running = Home().running()
    found = url or (running.url if running else "http://127.0.0.1:8080")
    print(_as_yaml(scrape_config(found, keys=keys)), end="")


def _as_yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, width=1000)


@env.command("configure")
def configure(
    name: str,
    url: Annotated[str, typer.Option(help="https://…")],
    token: Annotated[str | None, typer.Option(help="`descent node token` prints it there.")] = None,
) -> None:
    """Add a node's address and token under a name, or change them."""
    _environments().configure(name, url, token)


@env.command("list")
def list_() -> None:
    """List the environments; * is the default."""
    known = _environments()
    for name in ["local", *sorted(known.known)]:
        url = "this machine's node" if name == "local" else known.known[name].url
        console.print(f"{'*' if name == known.default else ' '} {name}  {url}", markup=False)


@env.command("default")
def default(name: str) -> None:
    """Choose which node commands mean when they do not say."""
    _environments().use(name)


@env.command("rename")
def rename(name: str, new: str) -> None:
    """Give an environment another name."""
    _environments().rename(name, new)


@env.command("delete")
def delete(name: str) -> None:
    """Forget an environment."""
    _environments().delete(name)


def _environments():
    from descent.deploy.control.environments import Environments
    from descent.deploy.control.folders import Home

    return Environments(Home())
