"""A database: one writer thread that commits many changes together, and readers."""

from __future__ import annotations

__all__ = ["Database"]


class Database:
    """`Database.open("sqlite:////abs/path.db")` or `"postgresql://user@host/name"`."""

    @classmethod
    def open(cls, url: str) -> Database:
        """Connect, create or migrate the tables. Raises `StoreError` with what would be right."""
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what was begun and disconnect."""
        raise NotImplementedError
