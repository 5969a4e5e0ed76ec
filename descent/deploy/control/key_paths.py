"""Keys over the control API: GET and POST /-/keys, DELETE /-/keys/{id}."""

from __future__ import annotations

import datetime
from typing import Any

from descent.deploy.errors import HttpError
from descent.deploy.jobs.store.keys import Key
from descent.deploy.keys import KeyRing

__all__ = ["create_key", "described", "list_keys", "revoke_key"]


async def list_keys(ring: KeyRing) -> dict[str, Any]:
    """Every key, without its secret, which nobody has."""
    return {"keys": [described(key) for key in await ring.all()]}


async def create_key(ring: KeyRing, body: dict[str, Any]) -> dict[str, Any]:
    """From {name, scopes, per_s?, burst?, expires_s?}; `secret` is said this once.

    Raises `HttpError` 400 naming the field, `DeployError` for values that make no sense.
    """
    name, scopes = body.get("name"), body.get("scopes")
    if not isinstance(name, str):
        raise _bad("name", "a text is needed")
    if not (isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes)):
        raise _bad("scopes", "a list of texts is needed")
    numbers = {}
    for field in ("per_s", "burst", "expires_s"):
        value = body.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise _bad(field, "a number is needed")
        numbers[field] = value
    if unknown := sorted(set(body) - {"name", "scopes", *numbers}):
        raise _bad(unknown[0], "there is no such field")
    made = await ring.create(name, scopes, **numbers)
    return {**described(made.key), "secret": made.secret}


async def revoke_key(ring: KeyRing, id: str) -> dict[str, Any]:
    """Raises `HttpError` 404 for a key that is not there, or worth nothing already."""
    if not await ring.revoke(id):
        raise HttpError(404, "not_found", f"there is no key {id!r} that is worth something")
    return {"message": f"revoked {id}"}


def described(key: Key) -> dict[str, Any]:
    """JSON of a key; times in ISO 8601."""
    rate = key.rate
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "per_s": rate.get("per_s"),
        "burst": rate.get("burst"),
        "created": _time(key.created),
        "expires": _time(rate.get("expires")),
        "revoked": _time(key.revoked),
        "used": _time(key.used),
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def _bad(field: str, said: str) -> HttpError:
    return HttpError(400, "bad_request", f"{field}: {said}", field=field)
