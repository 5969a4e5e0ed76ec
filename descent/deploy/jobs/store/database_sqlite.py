"""SQLite: one file, nothing to install or start.

Write-ahead log, so that readers and the writer do not wait for each other; an fsync for each
transaction that must last. Transactions of leases alone go without: after a power cut no worker of
this machine is left to hold them. Reference: https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from descent.deploy.jobs.store.errors import StoreError
from descent.deploy.jobs.store.schema import MIGRATIONS, for_sqlite

__all__ = ["Sqlite"]

APPLICATION = 0x44534E54  # "DSNT", in the file's header
MAGIC = b"SQLite format 3\0"
BUSY_TIMEOUT_S = 5.0
FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
BROKEN = DAMAGED | {
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@dataclass(frozen=True)
class Sqlite:
    """The engine over a file; `max_bytes` bounds its size."""

    path: Path
    max_bytes: int | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    @classmethod
    def of(cls, url: str) -> Sqlite:
        """From "sqlite:////absolute/path", "sqlite:///relative/path" or a plain path."""
        if not url.startswith("sqlite://"):
            return cls(Path(url).expanduser())
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(set(options) - {"max_bytes"})
        if parts.netloc or not parts.path.strip("/"):
            raise StoreError(f"{url!r}: three slashes and a path, as in sqlite:////home/me/jobs.db")
        if unknown:
            raise StoreError(f"{url!r}: no option {unknown[0]!r}; there is max_bytes")
        limit = options.get("max_bytes")
        if limit is not None and not limit.isdigit():
            raise StoreError(f"{url!r}: max_bytes is a number of bytes, not {limit!r}")
        return cls(Path(unquote(parts.path[1:])).expanduser(), int(limit) if limit else None)

    def prepare(self) -> None:
        """Check that the file is ours; create or migrate the tables."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._check_header()
        session = SqliteSession(self, reader=False)
        try:
            _migrate(session, self.path)
        finally:
            session.close()

    def connect(self, *, reader: bool) -> SqliteSession:
        return SqliteSession(self, reader=reader)

    def copy_to(self, path: Path) -> None:
        """A whole copy as of now, while others read and write."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        read_only = f"{self.path.absolute().as_uri()}?mode=ro"
        with (
            contextlib.closing(sqlite3.connect(read_only, uri=True)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)

    def meaning(self, error: BaseException) -> str:
        if isinstance(error, OSError) and error.errno in (27, 28, 122):  # EFBIG, ENOSPC, EDQUOT
            return "full"
        code = (
            getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.Error) else None
        )
        if code is None:
            return ""
        if code in FULL:
            return "full"
        if code & 0xFF in BUSY:
            return "busy"
        return "broken" if code & 0xFF in BROKEN else ""

    def _check_header(self) -> None:
        """A file of ours, an empty one, or a new one that only its owner can read."""
        if not self.path.exists():
            # what it holds is its owner's; the log beside it takes over who may read it
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            return
        if self.path.is_dir():
            raise StoreError(f"{self.path} is a folder; the store is a file in one")
        with self.path.open("rb") as file:
            begin = file.read(len(MAGIC))
        if begin and begin != MAGIC:
            raise StoreError(
                f"{self.path} is not a SQLite database (it begins with {begin!r}); name another "
                "file, or move this one away and a new store is made"
            )

    def explained(self, error: BaseException) -> str:
        said = (isinstance(error, OSError) and error.strerror) or str(error)
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
        hint = {
            "full": "the disk is full (or the limit set on the database)",
            "busy": "another process holds it",
            "damaged": "the file is damaged: put a copy in its place, or move it away",
        }.get(
            "damaged" if damaged else self.meaning(error),
            "can it and its folder be read and written by this user?",
        )
        return f"{self.path}: {said}; {hint}"

    def listen(self, wake: Callable[[Iterable[str]], None]) -> None:
        """Nobody outside this process is heard; workers look once in a while."""


class SqliteSession:
    """One connection; transactions are begun and ended by hand."""

    lock = ""  # BEGIN IMMEDIATE: one writer at a time anyway
    skip_locked = ""

    def __init__(self, engine: Sqlite, *, reader: bool) -> None:
        self.reader = reader
        self.durable = True
        self.connection = sqlite3.connect(
            engine.path,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,  # one thread at a time: its own, at last the closing one
            cached_statements=256,
        )
        if reader:
            self.connection.execute("PRAGMA query_only = ON")
            return
        try:
            mode = self.connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(
                    f"{engine.path}: the file system has no shared memory for a write-ahead log "
                    f"(journal mode {mode}); put the store on a local disk"
                )
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA wal_autocheckpoint = 4000")
            if engine.max_bytes is not None:
                page = self.connection.execute("PRAGMA page_size").fetchone()[0]
                pages = max(1, engine.max_bytes // page)
                self.connection.execute(f"PRAGMA max_page_count = {pages}")
        except BaseException:
            self.connection.close()
            raise

    def begin(self, *, durable: bool = True) -> None:
        if self.reader:
            self.connection.execute("BEGIN")
            return
        if durable != self.durable:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.durable = durable
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def close(self) -> None:
        self.connection.close()

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple]:
        return self.connection.execute(sql, parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[Any]) -> int:
        return self.connection.execute(sql, parameters).rowcount

    def many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self.connection.executemany(sql, parameters)

    def notify(self, names: Iterable[str]) -> None:
        """Nobody outside this process is told; workers elsewhere look once in a while."""


def _migrate(session: SqliteSession, path: Path) -> None:
    connection = session.connection
    session.begin()
    try:
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if mark != APPLICATION and tables:
            raise StoreError(f"{path} is the database of another program; name another file")
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{path} was made by a newer Descent (schema {version}, this one knows "
                f"{len(MIGRATIONS)}); update Descent, or name another file"
            )
        for entry in MIGRATIONS[version:]:
            for statement in (s for text in entry for s in for_sqlite(text)):
                connection.execute(statement)
        if version < len(MIGRATIONS):
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        session.commit()
    except BaseException:
        session.rollback()
        raise
