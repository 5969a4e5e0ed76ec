"""What can go wrong with the store, each with a sentence for whoever must act."""

from __future__ import annotations

from descent.deploy.errors import DeployError

__all__ = ["BadCursor", "Conflict", "Gone", "StoreError", "StoreFull", "StoreUnavailable"]


class StoreError(DeployError):
    """The store cannot be used as it is: not a database, a newer schema, a folder that is
    read-only."""


class StoreFull(StoreError):
    """The disk (or the limit set on the database) is full. Nothing of the refused change was
    kept, nothing else was touched; the same call works again when there is room."""


class StoreUnavailable(StoreError):
    """The database did not answer within the time given to reconnecting. The change may or may
    not have been made; every change can safely be asked for again."""


class Conflict(Exception):
    """The same idempotency key came with another request. `job` is the id of the first one's."""

    def __init__(self, key: str, job: str) -> None:
        super().__init__(
            f"idempotency key {key!r} was used for another request (job {job}); "
            "send the same request again, or another key"
        )
        self.key, self.job = key, job


class BadCursor(Exception):
    """A cursor that no page of this list ended with."""


class Gone(Exception):
    """A job that is not there: never was, or was removed when its time to live ended."""
