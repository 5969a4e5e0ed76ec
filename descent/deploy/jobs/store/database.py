"""A database: one writer thread that commits many changes together, and readers beside it.

SQLite lets readers go on while it writes (WAL); PostgreSQL anyway. Nothing blocks the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from descent.deploy.jobs.store.ending import finish
from descent.deploy.jobs.store.errors import StoreError, StoreFull, StoreUnavailable
from descent.deploy.jobs.store.patience import Patience
from descent.deploy.jobs.store.transactions import Session, Tx
from descent.deploy.jobs.store.writing import Change, Engine, Writer

__all__ = ["Database"]

T = TypeVar("T")
READERS = 2
PATIENCE_S = 30.0
OPENING_S = 5.0  # someone waits in front of a terminal


class Database:
    """`Database.open("sqlite:////abs/path.db")` or `"postgresql://user@host/name"`.

    A plain path is a SQLite file. `?max_bytes=` limits a SQLite file; `?descent_schema=` names the
    PostgreSQL schema (default "descent"). `patience_s`: how long a lost or busy database is tried
    again before `StoreUnavailable`.
    """

    def __init__(self, engine: Engine, *, patience_s: float = PATIENCE_S) -> None:
        self.engine, self.patience_s = engine, patience_s
        self.on_wake: list[Callable[[Iterable[str]], None]] = []
        self._prepare()
        self._writer = Writer(engine, finish, self._wake, patience_s=patience_s)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store reader")
        self._own = threading.local()
        self._sessions: list[Session] = []
        self._listener = engine.listen(self._wake)

    @classmethod
    def open(cls, url: str, *, patience_s: float = PATIENCE_S) -> Database:
        """Connect, create or migrate the tables. Raises `StoreError` with what would be right."""
        if url.startswith(("postgresql://", "postgres://")):
            from descent.deploy.jobs.store.database_postgres import Postgres

            return cls(Postgres.of(url), patience_s=patience_s)
        if "://" in url and not url.startswith("sqlite://"):
            scheme = url.partition("://")[0]
            raise StoreError(f"no store for {scheme}://; use sqlite:///path or postgresql://…")
        from descent.deploy.jobs.store.database_sqlite import Sqlite

        return cls(Sqlite.of(url), patience_s=patience_s)

    async def write(
        self,
        function: Callable[[Tx], T],
        *,
        durable: bool = True,
        unclaimed: Callable[[T], None] | None = None,
    ) -> T:
        """Make a change; when this returns it is committed (and, if `durable`, on the disk).

        `function` runs in the writer thread, perhaps more than once. Raises what it raises,
        `StoreFull`, `StoreUnavailable`. Cancelling the call drops a change not yet begun; one that
        is committed nevertheless gives its value to `unclaimed`, in the event loop.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._writer.put(Change(function, future, loop, durable, unclaimed))
        return await future

    async def read(self, function: Callable[[Tx], T]) -> T:
        """Look something up, in one snapshot."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, function)

    async def close(self) -> None:
        """Finish what was begun and disconnect."""
        await asyncio.to_thread(self._close)

    def _prepare(self) -> None:
        """Create or migrate the tables; a database that is just starting is waited for."""
        patience = Patience(min(self.patience_s, OPENING_S))
        while True:
            try:
                return self.engine.prepare()
            except StoreError:
                raise
            except Exception as error:
                meaning = self.engine.meaning(error)
                if meaning not in ("lost", "busy") or not patience.pause():
                    kind = StoreFull if meaning == "full" else StoreError
                    raise kind(self.engine.explained(error)) from error

    def _read(self, function: Callable[[Tx], T]) -> T:
        patience = Patience(self.patience_s)
        while True:
            try:
                return self._snapshot(function)
            except Exception as error:
                meaning = self.engine.meaning(error)
                if meaning in ("full", "broken"):
                    kind = StoreFull if meaning == "full" else StoreError
                    raise kind(self.engine.explained(error)) from error
                if not meaning:
                    raise
                if not patience.pause():
                    raise StoreUnavailable(self.engine.explained(error)) from error

    def _snapshot(self, function: Callable[[Tx], T]) -> T:
        session = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = self.engine.connect(reader=True)
            self._sessions.append(session)
        try:
            session.begin()
            value = function(Tx(session))
            session.rollback()
        except Exception:
            self._own.session = None  # a new connection: the cheapest way to be sure of its state
            self._sessions.remove(session)
            session.close()
            raise
        return value

    def _wake(self, names: Iterable[str]) -> None:
        for told in self.on_wake:
            told(names)

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        if self._listener is not None:
            self._listener.close()
        while self._sessions:
            self._sessions.pop().close()
