"""PostgreSQL, by URL: several machines over one store.

Units are picked with FOR UPDATE SKIP LOCKED, so that processes do not wait for each other, and
NOTIFY wakes the workers of all of them. A cut connection is made anew by the writer.
Reference: https://www.postgresql.org/docs/current/sql-select.html (The Locking Clause).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from descent.deploy.jobs.store.errors import StoreError
from descent.deploy.jobs.store.schema import MIGRATIONS, for_postgres

try:
    import psycopg
    from psycopg import errors as pg
except ImportError as error:
    raise StoreError(
        "a store on PostgreSQL needs psycopg: pip install 'descent-ml[postgres]'"
    ) from error

__all__ = ["Postgres"]

CONNECT_S = 10
BUSY = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable, pg.TooManyConnections)
BROKEN = (
    pg.ReadOnlySqlTransaction,
    pg.InsufficientPrivilege,
    pg.UndefinedTable,
    psycopg.InternalError,
)
LOST = (psycopg.OperationalError, psycopg.InterfaceError)


@dataclass(frozen=True)
class Postgres:
    """The engine over a server; the tables stand in `schema`."""

    url: str
    schema: str = "descent"

    @property
    def name(self) -> str:
        parts = urlsplit(self.url)
        where = parts.hostname or dict(parse_qsl(parts.query)).get("host") or "localhost"
        return f"PostgreSQL at {where}"  # never the password

    @classmethod
    def of(cls, url: str) -> Postgres:
        """From a libpq URL; `descent_schema` is taken out of it."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        schema = options.pop("descent_schema", "descent")
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,50}", schema):
            raise StoreError(f"descent_schema={schema!r}: lower-case letters, digits and _")
        return cls(urlunsplit(parts._replace(query=urlencode(options))), schema)

    def prepare(self) -> None:
        """Create or migrate the tables; processes that start together wait for each other."""
        session = self.connect(reader=False)
        try:
            _migrate(session, self)
        finally:
            session.close()

    def connect(self, *, reader: bool) -> PostgresSession:
        return PostgresSession(self, reader=reader)

    def explained(self, error: BaseException) -> str:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return f"{self.name}: {said}"

    def meaning(self, error: BaseException) -> str:
        if isinstance(error, pg.DiskFull):
            # a server that cannot write its log stops itself: who knows what was committed
            return "lost" if error.diag.severity_nonlocalized == "PANIC" else "full"
        if isinstance(error, BUSY):
            return "busy"
        if isinstance(error, LOST):
            return "lost"
        return "broken" if isinstance(error, BROKEN) else ""

    def listen(self, wake: Callable[[Iterable[str]], None]) -> Listener:
        return Listener(self, wake)


class PostgresSession:
    """One connection; transactions are begun and ended by hand."""

    lock = " FOR UPDATE"
    skip_locked = " FOR UPDATE SKIP LOCKED"

    def __init__(self, engine: Postgres, *, reader: bool) -> None:
        self.engine = engine
        self.isolation = "REPEATABLE READ READ ONLY" if reader else "READ COMMITTED"
        self.connection = psycopg.connect(
            engine.url,
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name="descent",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )
        try:
            self.connection.execute(_placed(f"SET search_path TO {engine.schema}"))
        except BaseException:
            self.connection.close()
            raise
        self.cursor = self.connection.cursor()

    def begin(self, *, durable: bool = True) -> None:
        # always durable: after a crash of the server its workers live on, and fences must not fall
        self.connection.execute(_placed(f"BEGIN ISOLATION LEVEL {self.isolation}"))

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        self.connection.execute("ROLLBACK")

    def close(self) -> None:
        self.connection.close()

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple]:
        return self.cursor.execute(_placed(sql), parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[Any]) -> int:
        return self.cursor.execute(_placed(sql), parameters).rowcount

    def many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        self.cursor.executemany(_placed(sql), parameters)

    def notify(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            self.cursor.execute("SELECT pg_notify(%s, %s)", (_channel(self.engine), name))


class Listener:
    """A thread on a connection of its own that passes notifications on."""

    def __init__(self, engine: Postgres, wake: Callable[[Iterable[str]], None]) -> None:
        self.engine, self.wake = engine, wake
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._work, name="store listener", daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.ending.set()
        self.thread.join()

    def _work(self) -> None:
        while not self.ending.is_set():
            try:
                self._listen()
            except psycopg.Error:
                self.ending.wait(0.5)  # the writer reports what is wrong; workers look on their own

    def _listen(self) -> None:
        session = self.engine.connect(reader=True)
        try:
            session.connection.execute(_placed(f"LISTEN {_channel(self.engine)}"))
            while not self.ending.is_set():
                names = {
                    note.payload for note in session.connection.notifies(timeout=0.3, stop_after=1)
                }
                if names:
                    self.wake(names)
        finally:
            session.close()


def _channel(engine: Postgres) -> str:
    return f"descent_{engine.schema}"


@lru_cache(maxsize=512)
def _placed(sql: str) -> Any:
    """psycopg's placeholders."""
    return sql.replace("?", "%s")


def _migrate(session: PostgresSession, engine: Postgres) -> None:
    session.begin()
    session.rows("SELECT pg_advisory_xact_lock(hashtext(?))", (_channel(engine),))
    session.run(f"CREATE SCHEMA IF NOT EXISTS {engine.schema}", ())
    session.run("CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY, at FLOAT8)", ())
    version = session.rows("SELECT coalesce(max(version), 0) FROM migration", ())[0][0]
    if version > len(MIGRATIONS):
        session.rollback()
        raise StoreError(
            f"{engine.name} was set up by a newer Descent (schema {version}, this one knows "
            f"{len(MIGRATIONS)}); update Descent, or name another descent_schema"
        )
    for number, entry in enumerate(MIGRATIONS[version:], version + 1):
        for statement in (s for text in entry for s in for_postgres(text)):
            session.run(statement, ())
        session.run("INSERT INTO migration VALUES (?, ?)", (number, time.time()))
    session.commit()
