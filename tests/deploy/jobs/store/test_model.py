"""The life of jobs against a model that fits a page, on both databases, by random walks.

The model knows nothing of transactions: a dictionary of units and what each call may do to them.
After every step each job and unit of the store must be the model's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from descent.deploy.jobs.store import Content, Lease, NewJob, patience, submitting
from descent.deploy.jobs.store.words import words
from tests.deploy.jobs.store.conftest import opened, units
from tests.deploy.postgres import fresh_url

AHEAD = 3
LEASE_S = 30.0


@dataclass
class ModelUnit:
    state: str
    not_before: float
    attempts: int = 0
    fence: int = 0
    until: float = 0.0
    result: bytes | None = None


@dataclass
class ModelJob:
    kind: str
    attempts: int
    backoff_s: float
    timeout_s: float | None
    ttl_s: float
    created: float
    filling: bool
    touched: float
    units: list[ModelUnit] = field(default_factory=list)
    released: int = 0
    status: str = ""
    ended: float | None = None
    started: float | None = None
    deadline: float | None = None
    round: int = 0
    told: int = 0  # ends that were, or will be, told

    def count(self, *states: str) -> int:
        return sum(unit.state in states for unit in self.units)

    def release(self, now: float) -> None:
        to = min(len(self.units), self.released + AHEAD)
        for unit in self.units[self.released : to]:
            if unit.state == "held":
                unit.state, unit.not_before = "queued", min(self.created, now)
        self.released = to

    def end(self, status: str, now: float) -> None:
        for unit in self.units:
            if unit.state in ("queued", "leased"):
                unit.state = "cancelled"
        self.status, self.ended = status, now
        self.told += 1

    def settle(self, now: float) -> None:
        if (
            self.ended is None
            and not self.filling
            and self.count("done", "failed", "dead") == len(self.units)
        ):
            bad = self.count("failed", "dead")
            self.end(words(self.kind).bad if bad else words(self.kind).good, now)

    def again(self, states: tuple[str, ...], now: float) -> None:
        if self.ended is not None:
            states = (*states, "cancelled")
            self.status, self.ended, self.started, self.deadline = (
                words(self.kind).waiting,
                None,
                None,
                None,
            )
            self.round += 1
        for unit in self.units:
            if unit.state in states:
                unit.state, unit.attempts, unit.not_before = "queued", 0, now


class Life(RuleBasedStateMachine):
    bench = None  # set by the test
    lossy = None

    jobs = Bundle("jobs")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, ModelJob] = {}
        self.run = Life.bench
        self.store = self.run.store
        self.run(self.store.database.write(_empty))
        if Life.lossy:
            Life.lossy.commits = 0

    @property
    def now(self) -> float:
        return self.run.clock()

    @rule(
        target=jobs, n=st.integers(0, 7), kind=st.sampled_from(["AsyncAPI", "BatchAPI"]),
        attempts=st.integers(1, 3), backoff_s=st.sampled_from([0.0, 10.0]),
        timeout_s=st.sampled_from([None, 45.0]), complete=st.booleans(),
    )  # fmt: skip
    def submit(self, n, kind, attempts, backoff_s, timeout_s, complete):
        job = NewJob(
            "api", kind, attempts=attempts, backoff_s=backoff_s, timeout_s=timeout_s, ttl_s=200.0,
            events=("webhook",),
        )  # fmt: skip
        made = self.run(self.store.submit(job, units(n), complete=complete))
        vocabulary = words(kind)
        mine = ModelJob(
            kind, attempts, backoff_s, timeout_s, 200.0, self.now, not complete, self.now
        )
        mine.status = vocabulary.waiting if complete else vocabulary.filling
        mine.units = [ModelUnit("held", self.now) for _ in range(n)]
        if complete:
            mine.release(self.now)
        mine.settle(self.now)
        self.model[made.job.id] = mine
        return made.job.id

    @rule(id=jobs, n=st.integers(0, 4), repeated=st.integers(0, 2))
    def add(self, id, n, repeated):
        mine = self.model.get(id)
        if mine is None or not mine.filling or mine.ended is not None:
            return
        start = max(0, len(mine.units) - repeated)
        total = self.run(self.store.add_units(id, units(n), start=start))
        mine.units += [
            ModelUnit("held", self.now) for _ in range(max(0, start + n - len(mine.units)))
        ]
        mine.touched = self.now
        assert total == len(mine.units)

    @rule(id=jobs)
    def start(self, id):
        mine = self.model.get(id)
        if mine is None:
            return
        self.run(self.store.start_job(id))
        if mine.filling and mine.ended is None:
            mine.filling, mine.status = False, words(mine.kind).waiting
            mine.release(self.now)
            mine.settle(self.now)

    @rule(target=leases, n=st.integers(1, 5))
    def lease(self, n):
        got = self.run(self.store.lease("api", n, worker="w", lease_s=LEASE_S))
        self._lapse()
        expected = self._take(n)
        leased = [(lease.job, lease.index, lease.fence, lease.attempt) for lease in got]
        if Life.lossy:  # asked again, the store answers them by job and index
            leased, expected = sorted(leased), sorted(expected)
        assert leased == expected
        return multiple(*got)

    def _take(self, n: int) -> list[tuple]:
        taken = []
        while len(taken) < n:
            ready = sorted(
                (unit.not_before, id, index, unit)
                for id, job in self.model.items()
                for index, unit in enumerate(job.units)
                if unit.state == "queued" and unit.not_before <= self.now
            )[: n - len(taken)]
            short = len(ready) < n - len(taken)
            for _, id, index, unit in sorted(ready, key=lambda one: one[1:3]):
                unit.state, unit.until = "leased", self.now + LEASE_S
                unit.attempts += 1
                unit.fence += 1
                taken.append((id, index, unit.fence, unit.attempts))
                job = self.model[id]
                if job.started is None:
                    job.started, job.status = self.now, words(job.kind).working
                    job.deadline = None if job.timeout_s is None else self.now + job.timeout_s
            if short and not self._feed():
                break
        return taken

    def _feed(self) -> bool:
        for _, job in sorted(self.model.items()):
            if job.ended is None and not job.filling and job.released < len(job.units):
                job.release(self.now)
                return True
        return False

    def _lapse(self) -> None:
        for job in self.model.values():
            for unit in job.units:
                if unit.state == "leased" and unit.until <= self.now:
                    unit.state = "dead" if unit.attempts >= job.attempts else "queued"
                    unit.not_before = self.now
            job.settle(self.now)

    def _unit(self, lease: Lease) -> ModelUnit | None:
        job = self.model.get(lease.job)
        return job.units[lease.index] if job else None

    def _holds(self, lease: Lease) -> bool:
        unit = self._unit(lease)
        return unit is not None and unit.fence == lease.fence and unit.state == "leased"

    def _known(self, lease: Lease, *states: str) -> bool:
        unit = self._unit(lease)
        return unit is not None and unit.fence == lease.fence and unit.state in states

    @rule(lease=leases, text=st.binary(max_size=3))
    def commit(self, lease, text):
        held, known = self._holds(lease), self._known(lease, "done")
        assert self.run(self.store.commit(lease, Content(text))) == (held or known)
        if held:
            unit = self._unit(lease)
            unit.state, unit.result = "done", text
            self.model[lease.job].settle(self.now)

    @rule(lease=leases, retry=st.booleans())
    def fail(self, lease, retry):
        state = self.run(self.store.fail(lease, "e", retry=retry))
        if not self._holds(lease):
            known = self._known(lease, "queued", "dead", "failed")
            assert state == (self._unit(lease).state if known else "refused")
            return
        job, unit = self.model[lease.job], self._unit(lease)
        last = unit.attempts >= job.attempts
        unit.state = "failed" if not retry else "dead" if last else "queued"
        unit.not_before = self.now + job.backoff_s * 2 ** (unit.attempts - 1)
        assert state == unit.state
        job.settle(self.now)

    @rule(lease=consumes(leases))
    def release(self, lease):
        held, known = self._holds(lease), self._known(lease, "queued")
        assert self.run(self.store.release(lease)) == (held or known)
        if held:
            unit = self._unit(lease)
            unit.state, unit.not_before = "queued", self.now
            unit.attempts -= 1

    @rule(lease=leases)
    def renew(self, lease):
        lost = self.run(self.store.renew([lease], LEASE_S))
        assert lost == ([] if self._holds(lease) else [lease])
        if not lost:
            self._unit(lease).until = self.now + LEASE_S

    @rule(id=jobs)
    def cancel(self, id):
        mine = self.model.get(id)
        if mine is None:
            return
        self.run(self.store.cancel(id))
        if mine.ended is None:
            mine.end(words(mine.kind).cancelled, self.now)

    @rule(id=jobs)
    def retry(self, id):
        mine = self.model.get(id)
        if mine is None:
            return
        self.run(self.store.retry(id))
        if mine.ended is not None and not mine.filling and mine.count("done") < len(mine.units):
            mine.again(("dead", "failed"), self.now)

    @rule()
    def redrive(self):
        dead = sum(job.count("dead") for job in self.model.values() if not job.filling)
        moved = self.run(self.store.redrive("api"))
        assert moved == dead or (Life.lossy and moved == 0), "asked again: they had been moved"
        for job in self.model.values():
            if job.count("dead"):
                job.again(("dead",), self.now)

    @rule(seconds=st.sampled_from([1.0, 10.0, 31.0, 100.0]))
    def time_passes(self, seconds):
        self.run.clock.on(seconds)

    @rule()
    def sweep(self):
        self.run(self.store.sweep())
        self._lapse()
        for job in self.model.values():
            if job.ended is None and job.deadline is not None and job.deadline <= self.now:
                job.end(words(job.kind).timed_out, self.now)
            if job.ended is None and job.filling and job.touched <= self.now - 60:
                job.end("enqueue_failed", self.now)

    @rule()
    def forget(self):
        for job in self.run(self.store.expired()):
            mine = self.model.pop(job.id)
            assert mine.ended is not None
            assert mine.ended + mine.ttl_s <= self.now
            assert self.run(self.store.remove(job.id))
        assert not [
            j for j in self.model.values() if j.ended is not None and j.ended + j.ttl_s <= self.now
        ]

    @invariant()
    def the_store_is_the_model(self):
        found = {job.id: job for job in self.run(self.store.jobs(limit=1000)).items}
        assert found.keys() == self.model.keys()
        for id, mine in self.model.items():
            job = found[id]
            assert (job.status, job.ended, job.round) == (mine.status, mine.ended, mine.round)
            assert (job.total, job.running, job.done, job.failed) == (
                len(mine.units), mine.count("leased"), mine.count("done"),
                mine.count("failed", "dead"),
            )  # fmt: skip
            kept = self.run(self.store.units(id, limit=1000)).items
            assert [(unit.state, unit.fence, unit.attempts) for unit in kept] == [
                (unit.state, unit.fence, unit.attempts) for unit in mine.units
            ]
            assert [unit.result and unit.result.data for unit in kept] == [
                unit.result if unit.state == "done" else None for unit in mine.units
            ]
            told = self.run(self.store.events.list(job=id, limit=1000)).items
            assert len(told) == mine.told


def _empty(tx):
    for table in ("job", "unit", "event"):
        tx.run(f"DELETE FROM {table}")


class Lost(Exception):
    """The connection is gone."""


class Lossy:
    """An engine whose connection is lost at every third COMMIT: now before it arrived, now before
    its answer did."""

    def __init__(self, engine) -> None:
        self.engine, self.commits = engine, 0

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def meaning(self, error):
        return "lost" if isinstance(error, Lost) else self.engine.meaning(error)

    def connect(self, *, reader):
        session = self.engine.connect(reader=reader)
        commit = session.commit

        def losing():
            self.commits += 1
            if self.commits % 6 == 3:
                raise Lost("before")
            commit()
            if self.commits % 6 == 0:
                raise Lost("after")

        session.commit = losing
        return session


@pytest.mark.parametrize("lossy", [False, True], ids=["", "lossy"])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_every_walk_through_the_store_is_the_models(database, lossy, tmp_path, monkeypatch):
    monkeypatch.setattr(submitting, "AHEAD", AHEAD)
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.0)
    url = fresh_url() if database == "postgres" else f"sqlite:///{tmp_path}/jobs.db"
    with opened(url) as bench:
        monkeypatch.setattr(Life, "bench", bench)
        if lossy:
            writer = bench.store.database._writer
            monkeypatch.setattr(Life, "lossy", Lossy(writer.engine))
            writer.engine = Life.lossy
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=20 if database == "postgres" else 40,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
