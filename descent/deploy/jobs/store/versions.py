"""What is deployed: APIs, their numbered versions, and which one is active.

Numbers only rise, also over a deletion, so a version's number never means two things.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from descent.deploy.jobs.store.database import Database
from descent.deploy.jobs.store.rows import clean
from descent.deploy.jobs.store.transactions import Tx

__all__ = ["Api", "Version", "Versions"]


@dataclass(frozen=True, slots=True)
class Api:
    """`active`: the number that answers, None before the first one is ready."""

    name: str
    kind: str
    active: int | None
    latest: int


@dataclass(frozen=True, slots=True)
class Version:
    """`state` and `reason` are control's words; `since` when the state was entered."""

    api: str
    number: int
    spec: dict[str, Any]
    by: str
    made: float
    state: str
    reason: str
    since: float
    folder: str


class Versions:
    """APIs and versions over a database."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self.database, self.now = database, now

    async def add(
        self, api: str, kind: str, spec: dict[str, Any], *, by: str, folder: str = "",
        state: str = "pending",
    ) -> Version:  # fmt: skip
        """A new version, with the next number. Asked again after `StoreUnavailable` it may take
        another number."""
        now, text = self.now(), json.dumps(spec)
        return await self.database.write(
            lambda tx: _add(tx, api, kind, text, by, folder, state, now)
        )

    async def set_state(self, api: str, number: int, state: str, reason: str = "") -> None:
        """What became of it."""
        now = self.now()
        await self.database.write(
            lambda tx: tx.run(
                "UPDATE api_version SET state = ?, reason = ?, since = ? "
                "WHERE api = ? AND number = ?",
                state,
                clean(reason),
                now,
                api,
                number,
            )
        )

    async def activate(self, api: str, number: int | None) -> None:
        """From now on this version answers (after a restart too)."""
        await self.database.write(
            lambda tx: tx.run("UPDATE api SET active = ? WHERE name = ?", number, api)
        )

    async def apis(self) -> list[Api]:
        """Those deployed, by name."""
        rows = await self.database.read(
            lambda tx: tx.rows(
                "SELECT name, kind, active, latest FROM api WHERE deleted IS NULL ORDER BY name"
            )
        )
        return [Api(*row) for row in rows]

    async def api(self, name: str) -> Api | None:
        """One that is deployed."""
        row = await self.database.read(
            lambda tx: tx.row(
                "SELECT name, kind, active, latest FROM api WHERE name = ? AND deleted IS NULL",
                name,
            )
        )
        return Api(*row) if row else None

    async def get(self, api: str, number: int) -> Version | None:
        """One version."""
        row = await self.database.read(
            lambda tx: tx.row(f"{SELECT} WHERE api = ? AND number = ?", api, number)
        )
        return _version(row) if row else None

    async def list(self, api: str, limit: int = 100) -> list[Version]:
        """Newest first."""
        rows = await self.database.read(
            lambda tx: tx.rows(f"{SELECT} WHERE api = ? ORDER BY number DESC LIMIT ?", api, limit)
        )
        return [_version(row) for row in rows]

    async def forget(self, api: str, number: int) -> None:
        """Remove one version that is not active (its folder is the caller's to remove)."""
        await self.database.write(
            lambda tx: tx.run(
                "DELETE FROM api_version WHERE api = ? AND number = ? AND NOT EXISTS "
                "(SELECT 1 FROM api WHERE name = ? AND active = ?)",
                api,
                number,
                api,
                number,
            )
        )

    async def delete(self, api: str, *, keep_versions: bool = False) -> bool:
        """No longer deployed; whether it was."""
        now = self.now()
        return await self.database.write(lambda tx: _delete(tx, api, keep_versions, now))


SELECT = "SELECT api, number, spec, made_by, made, state, reason, since, folder FROM api_version"


def _add(
    tx: Tx, api: str, kind: str, spec: str, by: str, folder: str, state: str, now: float
) -> Version:
    row = tx.row(
        "INSERT INTO api (name, kind, latest) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET "
        "kind = excluded.kind, latest = api.latest + 1, deleted = NULL RETURNING latest",
        api, kind,
    )  # fmt: skip
    assert row is not None
    tx.run(
        "INSERT INTO api_version (api, number, spec, made_by, made, state, reason, since, folder) "
        "VALUES (?, ?, ?, ?, ?, ?, '', ?, ?)",
        api, row[0], spec, by, now, state, now, folder,
    )  # fmt: skip
    return Version(api, row[0], json.loads(spec), by, now, state, "", now, folder)


def _delete(tx: Tx, api: str, keep_versions: bool, now: float) -> bool:
    changed = tx.run(
        "UPDATE api SET active = NULL, deleted = ? WHERE name = ? AND deleted IS NULL", now, api
    )
    if not keep_versions:
        tx.run("DELETE FROM api_version WHERE api = ?", api)
    return bool(changed)


def _version(row: tuple) -> Version:
    api, number, spec, by, made, state, reason, since, folder = row
    return Version(api, number, json.loads(spec), by, made, state, reason, since, folder)
