"""What a change of the store is written in: a transaction with `?` for parameters.

A change is a plain function of a `Tx`. Several changes share one transaction (and its fsync), and a
change may be run again: after an error of another one, after a lost connection. So it touches
nothing but the database, and where being run twice would matter it looks at `again`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Deltas", "RunAgain", "Session", "Tx", "marks"]


class RunAgain(Exception):
    """Another process changed a row between two statements: make the transaction again, `wary`."""


class Session(Protocol):
    """One connection of either database."""

    lock: str  # appended to a SELECT whose rows will be changed
    skip_locked: str  # the same, passing over rows that another transaction holds

    def begin(self, *, durable: bool = True) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...
    def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple]: ...
    def run(self, sql: str, parameters: Sequence[Any]) -> int: ...
    def many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None: ...
    def notify(self, names: Iterable[str]) -> None: ...


@dataclass(slots=True)
class Deltas:
    """Changes of a job's counters, added up over the transaction: one UPDATE a job."""

    running: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0
    busy_s: float = 0.0


@dataclass(slots=True)
class Tx:
    """A transaction under way. `again`: this change may have been committed before. `wary`: another
    process ended a job while this one changed its units; look whether it is open first."""

    session: Session
    again: bool = False
    wary: bool = False
    deltas: dict[str, Deltas] = field(default_factory=dict)
    woken: set[str] = field(default_factory=set)  # APIs that may have new work
    lapsed: set[str] = field(default_factory=set)  # APIs whose old leases were looked through
    now: float = 0.0  # the latest of the times its changes were made at

    def rows(self, sql: str, *parameters: Any) -> list[tuple]:
        """Every row of a query, or of a change with RETURNING."""
        return self.session.rows(sql, parameters)

    def row(self, sql: str, *parameters: Any) -> tuple | None:
        """The first row."""
        rows = self.session.rows(sql, parameters)
        return rows[0] if rows else None

    def run(self, sql: str, *parameters: Any) -> int:
        """Change something; how many rows were."""
        return self.session.run(sql, parameters)

    def many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """The same change for each row of parameters."""
        self.session.many(sql, parameters)

    def delta(self, job: str, now: float) -> Deltas:
        """The job's counters, to be added to."""
        self.now = max(self.now, now)
        return self.deltas.setdefault(job, Deltas())


def marks(values: Sequence[Any]) -> str:
    """`?, ?, ?`: for IN (…)."""
    return ", ".join("?" * len(values))
