"""`descent keys`: make, list, replace and end API keys of a node."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from descent.cli.deploy_common import Env, Output, client_of, console, show

__all__ = ["register"]

keys = typer.Typer(help="API keys of a node: who may ask, and how often.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `keys`."""
    app.add_typer(keys, name="keys")


Id = Annotated[str, typer.Argument(help="The key's id (`descent keys list`).")]


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="predict[:API], submit[:API], control:read or control:write; again for more."
        ),
    ],
    rate: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
    burst: Annotated[int | None, typer.Option(help="Requests at once. Twice the rate.")] = None,
    expires: Annotated[str | None, typer.Option(help='When it ends: "30d", "12h".')] = None,
    env: Env = None,
    output: Output = "pretty",
) -> None:
    """Make a key and print its secret, this once."""
    with client_of(env) as node:
        made = node.create_key(
            name, scope, per_s=rate, burst=burst,
            expires_s=None if expires is None else _seconds(expires),
        )  # fmt: skip
    show(made, output, lambda key: f"{key['secret']}\n  id {key['id']}; it is not shown again")


@keys.command("list")
def list_(env: Env = None, output: Output = "pretty") -> None:
    """List the keys, the revoked ones too."""
    with client_of(env) as node:
        show(node.keys(), output, _table)


@keys.command("revoke")
def revoke(id: Id, env: Env = None) -> None:
    """End a key, from now on."""
    with client_of(env) as node:
        node.revoke_key(id)
    console.print(f"revoked {id}")


@keys.command("rotate")
def rotate(id: Id, env: Env = None, output: Output = "pretty") -> None:
    """Make a key of the same name, scopes and rate, then end the old one; it keeps no end date."""
    from descent.deploy.errors import DeployError

    with client_of(env) as node:
        old = next((k for k in node.keys() if k["id"] == id and k["revoked"] is None), None)
        if old is None:
            raise DeployError(f"there is no key {id!r} that is worth something")
        burst = None if old["burst"] is None else int(old["burst"])
        made = node.create_key(old["name"], old["scopes"], per_s=old["per_s"], burst=burst)
        node.revoke_key(id)
    show(made, output, lambda key: f"{key['secret']}\n  id {key['id']}; {id} is revoked")


def _table(found: list[dict[str, Any]]) -> Any:
    from descent.cli.deploy_tables import table

    if not found:
        return "no keys yet: descent keys create NAME --scope predict"
    rows = []
    for key in found:
        rate = None if key["per_s"] is None else f"{key['per_s']:g}/s, {key['burst']} at once"
        ends = f"revoked {key['revoked']}" if key["revoked"] else key["expires"]
        rows.append(
            (key["id"], key["name"], " ".join(key["scopes"]), rate, key["created"], key["used"],
             ends)
        )  # fmt: skip
    return table(("id", "name", "scopes", "rate", "created", "last used", "ends"), rows)


def _seconds(text: str) -> float:
    """ "30d" too, which specs do not have."""
    from descent.deploy.errors import DeployError
    from descent.deploy.spec.units import duration

    try:
        if text[-1:] == "d":
            return float(text[:-1]) * 86_400.0
        return duration(text)
    except ValueError as error:
        raise DeployError(f"--expires {text!r}: 30d, 12h, 45m or a number of seconds") from error
