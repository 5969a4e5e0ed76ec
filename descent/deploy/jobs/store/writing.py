"""The one thread that writes: all changes that wait are committed together (group commit).

An fsync costs as much as a hundred small changes, so changes that arrive while one transaction is
being written form the next. A change that fails is refused alone: the transaction is rolled back
and its changes are made one by one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from descent.deploy.jobs.store.errors import StoreError, StoreFull, StoreUnavailable
from descent.deploy.jobs.store.patience import Patience
from descent.deploy.jobs.store.transactions import RunAgain, Session, Tx

__all__ = ["Change", "Engine", "Writer"]

GROUP = 256  # changes in one transaction at most


class Engine(Protocol):
    """Which database: makes sessions, and says what an exception of its driver means."""

    @property
    def name(self) -> str: ...
    def prepare(self) -> None:
        """Create or migrate the tables; raises the driver's errors, or `StoreError`."""
        ...

    def connect(self, *, reader: bool) -> Session: ...
    def listen(self, wake: Callable[[Iterable[str]], None]) -> Listening | None:
        """Pass on what other processes notify."""
        ...

    def explained(self, error: BaseException) -> str:
        """A sentence for whoever must act."""
        ...

    def meaning(self, error: BaseException) -> str:
        """ "full", "lost" (the connection), "busy" (try again), "broken" (a person
        must look), or "" (the caller's affair)."""
        ...


class Listening(Protocol):
    """A thread that listens."""

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class Change:
    """A function of a transaction, and where its value goes."""

    function: Callable[[Tx], Any]
    future: asyncio.Future
    loop: asyncio.AbstractEventLoop
    durable: bool
    unclaimed: Callable[[Any], None] | None = None  # given a value whose caller went away
    asked: float = field(default_factory=time.monotonic)
    again: bool = False
    value: Any = None
    error: BaseException | None = None


class Writer:
    """`finish(tx)` ends every transaction (counters of jobs); `wake(names)` is told, after the
    commit, which APIs may have work."""

    def __init__(
        self,
        engine: Engine,
        finish: Callable[[Tx], None],
        wake: Callable[[Iterable[str]], None],
        *,
        patience_s: float,
    ) -> None:
        self.engine, self.finish, self.wake, self.patience_s = engine, finish, wake, patience_s
        self.queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self.session: Session | None = None  # made when needed, and again when lost
        self.thread = threading.Thread(target=self._work, name="store writer", daemon=True)
        self.closed = False
        self.thread.start()

    def put(self, change: Change) -> None:
        """Hand over a change; its future is resolved when it is committed."""
        if self.closed:
            raise StoreError("the store is closed")
        self.queue.put(change)

    def close(self) -> None:
        """Commit what waits and end the thread (blocks)."""
        if not self.closed:
            self.closed = True
            self.queue.put(None)
        self.thread.join()
        late, _ = self._gather() if not self.queue.empty() else ([], False)
        for change in late:  # put while closing
            change.error = StoreError("the store is closed")
        _resolve(late)

    def _work(self) -> None:
        going = True
        while going:
            group, going = self._gather()
            group = [change for change in group if not change.future.cancelled()]
            if group:
                self._write(group)
                _resolve(group)
        if self.session is not None:
            self.session.close()

    def _gather(self) -> tuple[list[Change], bool]:
        """All that waits (at least one, at most GROUP); False when closing."""
        group: list[Change] = []
        while True:
            change = self.queue.get()
            if change is None:
                return group, False
            group.append(change)
            if len(group) >= GROUP or self.queue.empty():
                return group, True

    def _write(self, group: list[Change]) -> None:
        """Commit the group; one by one when a change of it fails."""
        try:
            self._persist(group)
        except Exception as error:
            if len(group) == 1 or isinstance(error, StoreUnavailable):
                for change in group:
                    change.error = error
                return
            for change in group:
                self._write([change])

    def _persist(self, group: list[Change]) -> None:
        """Try until it is committed or refused, or its oldest change has waited `patience_s`: when
        the database is away, those behind are told at once."""
        waited_s = time.monotonic() - min(change.asked for change in group)
        patience = Patience(max(0.0, self.patience_s - waited_s))
        wary = False
        while True:
            try:
                return self._commit(group, wary)
            except RunAgain:
                wary = True
                continue
            except Exception as error:
                meaning = self._recover(group, error)
                if meaning == "full":
                    raise StoreFull(
                        f"{self.engine.explained(error)}; nothing was changed"
                    ) from error
                if meaning == "broken":
                    raise StoreError(self.engine.explained(error)) from error
                if not meaning:
                    raise
                if not patience.pause():
                    raise StoreUnavailable(
                        f"{self.engine.explained(error)} (tried for {self.patience_s:g} s; "
                        "asking again is safe)"
                    ) from error

    def _commit(self, group: list[Change], wary: bool) -> None:
        if self.session is None:
            self.session = self.engine.connect(reader=False)
        session = self.session
        tx = Tx(session, wary=wary)
        session.begin(durable=any(change.durable for change in group))
        try:
            for change in group:
                tx.again = change.again
                change.value = change.function(tx)
            self.finish(tx)
            if tx.woken:
                session.notify(tx.woken)
            session.commit()
        except RunAgain:
            session.rollback()
            raise
        self.wake(tx.woken)

    def _recover(self, group: list[Change], error: Exception) -> str:
        """Bring the session back to between transactions; what the error means."""
        meaning = self.engine.meaning(error)
        if self.session is not None:
            try:
                self.session.rollback()
            except Exception:  # the connection is gone, whatever the first error was
                meaning = meaning or "lost"
        if meaning == "lost":
            for change in group:
                change.again = True  # the COMMIT may have arrived, its answer not
            if self.session is not None:
                self.session.close()
            self.session = None
        return meaning


def _resolve(group: list[Change]) -> None:
    """Tell the event loops, each once."""
    loops: dict[asyncio.AbstractEventLoop, list[Change]] = {}
    for change in group:
        loops.setdefault(change.loop, []).append(change)
    for loop, changes in loops.items():
        try:
            loop.call_soon_threadsafe(_set, changes)
        except RuntimeError:
            pass  # that loop has ended: nobody waits


def _set(changes: list[Change]) -> None:
    for change in changes:
        if change.future.done():
            if change.error is None and change.unclaimed is not None:
                change.unclaimed(change.value)
        elif change.error is not None:
            change.future.set_exception(change.error)
        else:
            change.future.set_result(change.value)
