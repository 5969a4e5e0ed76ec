"""Small things to remember: a name and a JSON value."""

from __future__ import annotations

import json
from typing import Any

from descent.deploy.jobs.store.database import Database

__all__ = ["Settings"]


class Settings:
    """Names and values; names of the store's own ("clock") are not to be used."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default`."""
        row = await self.database.read(
            lambda tx: tx.row("SELECT value FROM setting WHERE name = ?", name)
        )
        return json.loads(row[0]) if row else default

    async def set(self, name: str, value: Any) -> None:
        """Write a value; None removes it."""
        if value is None:
            await self.database.write(lambda tx: tx.run("DELETE FROM setting WHERE name = ?", name))
            return
        text = json.dumps(value)
        await self.database.write(
            lambda tx: tx.run(
                "INSERT INTO setting (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                name,
                text,
            )
        )

    async def all(self, prefix: str = "") -> dict[str, Any]:
        """Every setting whose name begins with `prefix`."""
        rows = await self.database.read(
            lambda tx: tx.rows(
                "SELECT name, value FROM setting WHERE substr(name, 1, ?) = ? ORDER BY name",
                len(prefix),
                prefix,
            )
        )
        return {name: json.loads(value) for name, value in rows}
