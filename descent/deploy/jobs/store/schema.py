"""The tables, once for both databases, and how older ones are brought up to date.

Each entry of `MIGRATIONS` takes a database one version further, in one transaction; entries are
only ever added. Times are unix seconds; JSON is text. The queue is an index of the units that may
be begun: those of a job being filled, or whose turn is far off, are `held` and not in it.
"""

from __future__ import annotations

import re

__all__ = ["MIGRATIONS", "for_postgres", "for_sqlite"]

JOBS = """
CREATE TABLE job (
    id TEXT PRIMARY KEY, api TEXT NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, config TEXT NOT NULL,
    created REAL NOT NULL, touched REAL NOT NULL, started REAL, ended REAL, deadline REAL,
    expires REAL, ttl_s REAL NOT NULL, timeout_s REAL,
    attempts INTEGER NOT NULL, backoff_s REAL NOT NULL,
    idempotency_key TEXT, fingerprint TEXT, events TEXT NOT NULL,
    filling INTEGER NOT NULL, total INTEGER NOT NULL, released INTEGER NOT NULL,
    running INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, retried INTEGER NOT NULL DEFAULT 0,
    busy_s REAL NOT NULL DEFAULT 0, progress TEXT, round INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX job_list ON job (api, id);
CREATE INDEX job_open ON job (api, id) WHERE ended IS NULL;
CREATE UNIQUE INDEX job_key ON job (api, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_expires ON job (expires) WHERE expires IS NOT NULL;
CREATE INDEX job_filling ON job (touched) WHERE filling = 1;
CREATE INDEX job_deadline ON job (deadline) WHERE ended IS NULL AND deadline IS NOT NULL
"""

UNITS = """
CREATE TABLE unit (
    job TEXT NOT NULL, idx INTEGER NOT NULL, api TEXT NOT NULL, state TEXT NOT NULL,
    items INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, fence INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL, lease_until REAL, begun REAL, since REAL NOT NULL,
    worker TEXT, ticket TEXT, data BLOB, ref TEXT, meta TEXT,
    result_data BLOB, result_ref TEXT, result_meta TEXT, error TEXT, code TEXT,
    PRIMARY KEY (job, idx)
);
CREATE INDEX unit_queue ON unit (api, not_before, job, idx) WHERE state = 'queued';
CREATE INDEX unit_leased ON unit (lease_until) WHERE state = 'leased';
CREATE INDEX unit_dead ON unit (api, job, idx) WHERE state = 'dead'
"""

EVENTS = """
CREATE TABLE event (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, job TEXT NOT NULL, api TEXT NOT NULL,
    payload TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL, lease_until REAL,
    created REAL NOT NULL, since REAL NOT NULL, worker TEXT, ticket TEXT, error TEXT
);
CREATE INDEX event_queue ON event (name, not_before, id) WHERE state = 'queued';
CREATE INDEX event_leased ON event (lease_until) WHERE state = 'leased';
CREATE INDEX event_job ON event (job);
CREATE TABLE schedule (
    name TEXT PRIMARY KEY, rule TEXT NOT NULL, config TEXT NOT NULL,
    next_run REAL, last_run REAL, last_job TEXT
)
"""

CONTROL = """
CREATE TABLE api (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, active INTEGER, latest INTEGER NOT NULL,
    deleted REAL
);
CREATE TABLE api_version (
    api TEXT NOT NULL, number INTEGER NOT NULL, spec TEXT NOT NULL, made_by TEXT NOT NULL,
    made REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, since REAL NOT NULL,
    folder TEXT NOT NULL,
    PRIMARY KEY (api, number)
);
CREATE TABLE api_key (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL,
    rate TEXT NOT NULL, created REAL NOT NULL, revoked REAL, used REAL
);
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)
"""

MIGRATIONS = ((JOBS, UNITS, EVENTS, CONTROL),)

POSTGRES_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "BLOB": "BYTEA"}


def for_sqlite(text: str) -> list[str]:
    """The statements of an entry."""
    return [statement.strip() for statement in text.split(";")]


def for_postgres(text: str) -> list[str]:
    """The same with PostgreSQL's names of the types."""
    pattern = r"\b(INTEGER|REAL|BLOB)\b"
    return for_sqlite(re.sub(pattern, lambda found: POSTGRES_TYPES[found[1]], text))
