"""Jobs of more units than fit one request: filled in chunks, then started."""

import pytest

from descent.deploy.jobs.store import Gone, NewJob, submitting
from tests.deploy.jobs.store.conftest import units


@pytest.fixture
def ahead(monkeypatch):
    monkeypatch.setattr(submitting, "AHEAD", 10)
    return 10


def fill(bench, n, **fields):
    job = NewJob("api", "BatchAPI", **fields)
    return bench(bench.store.submit(job, units(n), complete=False)).job.id


def test_nothing_runs_before_the_job_is_whole(bench):
    id = fill(bench, 3)
    assert bench.job(id).status == "enqueuing"
    assert bench.lease(9) == []
    assert bench(bench.store.add_units(id, units(4), start=3)) == 7
    assert bench(bench.store.start_job(id)).status == "running"
    assert len(bench.lease(9)) == 7
    with pytest.raises(ValueError, match="no more units"):
        bench(bench.store.add_units(id, units(1), start=7))
    assert bench(bench.store.start_job(id)).total == 7, "starting twice is starting once"


def test_a_chunk_sent_again_is_passed_over_and_a_gap_is_refused(bench):
    id = fill(bench, 0)
    assert bench(bench.store.add_units(id, units(4), start=0)) == 4
    assert bench(bench.store.add_units(id, units(4), start=0)) == 4
    assert bench(bench.store.add_units(id, units(4), start=2)) == 6
    with pytest.raises(ValueError, match="the next chunk starts there, not at 9"):
        bench(bench.store.add_units(id, units(1), start=9))
    with pytest.raises(Gone):
        bench(bench.store.start_job("nobody"))


def test_filling_that_stops_is_given_up_and_runs_nothing(bench):
    id = fill(bench, 3, events=("on-job-complete",))
    bench.clock.on(59)
    bench(bench.store.add_units(id, units(1), start=3))
    bench.clock.on(59)
    assert bench(bench.store.sweep()).abandoned == 0
    bench.clock.on(2)
    assert bench(bench.store.sweep()).abandoned == 1
    job = bench.job(id)
    assert job.status == "enqueue_failed"
    assert "after 4 units" in job.reason
    assert bench(bench.store.retry(id)).status == "enqueue_failed"
    assert bench.lease(9) == []


def test_a_job_started_without_units_ends(bench):
    assert bench(bench.store.start_job(fill(bench, 0))).status == "succeeded"


def test_only_the_next_units_of_a_large_job_stand_in_the_queue(bench, ahead):
    id = bench.submit(35)
    states = [unit.state for unit in bench(bench.store.units(id)).items]
    assert states == ["queued"] * 10 + ["held"] * 25
    bench.clock.on(1)
    small = bench.submit(1)
    order = [(lease.job, lease.index) for _ in range(4) for lease in bench.lease(9)]
    expected = [(id, i) for i in range(35)]
    assert sorted(order) == sorted([*expected, (small, 0)])
    assert order.index((small, 0)) == 10, "the small job's turn comes before the next feed"


def test_cancelling_and_retrying_a_large_job(bench, ahead):
    id = bench.submit(35)
    for lease in bench.lease(12):
        assert bench(bench.store.commit(lease))
    bench(bench.store.cancel(id))
    assert bench.lease(9) == []
    bench(bench.store.retry(id))
    assert [lease.index for lease in bench.lease(50)] == list(range(12, 35))


def test_started_jobs_are_fed_too(bench, ahead):
    id = fill(bench, 25)
    bench(bench.store.start_job(id))
    for lease in bench.lease(30):
        assert bench(bench.store.commit(lease))
    assert bench.job(id).status == "succeeded"
