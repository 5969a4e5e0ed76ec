"""`descent cluster`: Ray on this machine, and what KubeRay needs for one elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

__all__ = ["register"]

cluster = typer.Typer(help="Where replicas run when one process is outgrown.", no_args_is_help=True)
console = Console(soft_wrap=True, highlight=False)

Output = Annotated[str, typer.Option("--output", "-o", help="pretty or json.")]


def register(app: typer.Typer) -> None:
    """Add `cluster`."""
    app.add_typer(cluster, name="cluster")


@cluster.command()
def up(
    cpus: Annotated[float, typer.Option(help="Processors that replicas may share.", min=1)] = 2,
    object_store: Annotated[str, typer.Option(help="Ray's shared memory, at most.")] = "200M",
    output: Output = "pretty",
) -> None:
    """Start Ray on this machine, for the ray backend; it stays until `down`."""
    from descent.deploy.control.settings import read_bytes

    found = _local().up(cpus, read_bytes(object_store))
    if output == "json":
        return _json({"address": found.address, "pid": found.pid, "cpus": found.cpus})
    console.print(f"Ray runs at {found.address} (process {found.pid}) with {found.cpus:g} CPUs")
    console.print("descent deploy FILE.py:Class --backend ray", style="dim")


@cluster.command()
def down(output: Output = "pretty") -> None:
    """End it, and every replica on it."""
    ended = _local().down()
    if output == "json":
        return _json({"ended": ended})
    console.print("ended" if ended else "no cluster ran")


@cluster.command()
def info(output: Output = "pretty") -> None:
    """Address, limits, age, processes and their memory."""
    found = _local().info()
    if output == "json" or not found["running"]:
        return _json(found) if output == "json" else console.print("no cluster runs")
    console.print(f"address    {found['address']}")
    console.print(f"CPUs       {found['cpus']:g}")
    console.print(f"age        {found['age_s']:.0f} s")
    console.print(f"processes  {found['processes']}, {found['memory_bytes'] / 1e6:.0f} MB")


@cluster.command()
def health(output: Output = "pretty") -> None:
    """Ask its head whether it works; exit code 1 if not."""
    reason = _local().health()
    if output == "json":
        _json({"healthy": not reason, "reason": reason})
    else:
        console.print(reason or "healthy")
    raise typer.Exit(1 if reason else 0)


@cluster.command()
def manifests(
    spec: Annotated[Path, typer.Argument(help="A YAML file of RealtimeAPIs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    image: Annotated[
        str, typer.Option(help="What the image will be called; named by its contents if not given.")
    ] = "",
    namespace: Annotated[str, typer.Option(help="Kubernetes namespace.")] = "descent",
) -> None:
    """Write Dockerfile and Kubernetes manifests (KubeRay) that serve what a spec says."""
    from descent.deploy.cluster.manifests import write_manifests
    from descent.deploy.spec import read_specs

    for file in write_manifests(read_specs(spec), spec.parent, out, image, namespace):
        console.print(str(file))


def _local():
    from descent.deploy.cluster.local import LocalCluster
    from descent.deploy.control.folders import Home

    return LocalCluster(Home().make().path)


def _json(value: dict) -> None:
    print(json.dumps(value, indent=2))
