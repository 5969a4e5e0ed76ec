"""The durable store of jobs, on SQLite (a file) or PostgreSQL (by URL)."""

from descent.deploy.jobs.store.database import Database
from descent.deploy.jobs.store.durable import Store
from descent.deploy.jobs.store.errors import (
    BadCursor,
    Conflict,
    Gone,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from descent.deploy.jobs.store.identity import new_id
from descent.deploy.jobs.store.records import (
    Content,
    Event,
    Job,
    Lease,
    NewJob,
    NewUnit,
    Page,
    Submitted,
    Swept,
    Unit,
)

__all__ = [
    "Database", "Store", "new_id",
    "Content", "Event", "Job", "Lease", "NewJob", "NewUnit", "Page", "Submitted", "Swept", "Unit",
    "BadCursor", "Conflict", "Gone", "StoreError", "StoreFull", "StoreUnavailable",
]  # fmt: skip
