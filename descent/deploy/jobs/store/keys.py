"""Who may ask: API keys, by the hash of their secret; the secret itself is nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from descent.deploy.jobs.store.database import Database

__all__ = ["Key", "Keys"]

COLUMNS = "id, name, hash, scopes, rate, created, revoked, used"


@dataclass(frozen=True, slots=True)
class Key:
    """`scopes` and `rate` are the checker's words; `revoked`, `used`: unix seconds or None."""

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    rate: dict[str, Any]
    created: float
    revoked: float | None
    used: float | None


class Keys:
    """Keys over a database."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self.database, self.now = database, now

    async def add(
        self, id: str, name: str, hash: str, scopes: Sequence[str], rate: Mapping[str, Any]
    ) -> Key:
        """A new key; the same id again is the one there is."""
        key = Key(id, name, hash, tuple(scopes), dict(rate), self.now(), None, None)
        await self.database.write(
            lambda tx: tx.run(
                "INSERT INTO api_key (id, name, hash, scopes, rate, created) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                id,
                name,
                hash,
                json.dumps(scopes),
                json.dumps(dict(rate)),
                key.created,
            )
        )
        return key

    async def revoke(self, id: str) -> bool:
        """It is worth nothing from now on; whether it was there and worth something."""
        now = self.now()
        changed = await self.database.write(
            lambda tx: tx.run(
                "UPDATE api_key SET revoked = ? WHERE id = ? AND revoked IS NULL", now, id
            )
        )
        return bool(changed)

    async def used(self, ids: Sequence[str]) -> None:
        """Note that these were used now (once in a while, not with each request)."""
        now = self.now()
        await self.database.write(
            lambda tx: tx.many(
                "UPDATE api_key SET used = ? WHERE id = ?", [(now, id) for id in ids]
            ),
            durable=False,
        )

    async def all(self, *, revoked: bool = True) -> list[Key]:
        """Oldest first, the revoked ones too."""
        where = "" if revoked else " WHERE revoked IS NULL"
        rows = await self.database.read(
            lambda tx: tx.rows(f"SELECT {COLUMNS} FROM api_key{where} ORDER BY created, id")
        )
        return [
            Key(id, name, hash, tuple(json.loads(scopes)), json.loads(rate), created, gone, used)
            for id, name, hash, scopes, rate, created, gone, used in rows
        ]
