"""Time limits, times to live, and clocks that are set back."""

from descent.deploy.jobs.store import removing
from tests.deploy.jobs.store.conftest import units


def test_a_job_times_out_from_its_first_lease(bench):
    id = bench.submit(2, timeout_s=60)
    bench.clock.on(1000)
    assert bench(bench.store.sweep()).timed_out == 0
    (lease,) = bench.lease(lease_s=500)
    assert lease.deadline == bench.clock() + 60
    bench.clock.on(60)
    assert bench(bench.store.sweep()).timed_out == 1
    assert (bench.job(id).status, bench.job(id).reason) == ("timed_out", "not finished within 60 s")
    assert not bench(bench.store.commit(lease))


def test_jobs_are_kept_for_their_time_to_live_and_then_removed(bench, monkeypatch):
    monkeypatch.setattr(removing, "AT_ONCE", 2)
    id = bench.submit(5, ttl_s=100, events=("webhook",))
    assert not bench(bench.store.remove(id)), "an open job stays"
    for lease in bench.lease(5):
        assert bench(bench.store.commit(lease))
    bench.clock.on(99)
    assert bench(bench.store.expired()) == []
    bench.clock.on(1)
    (job,) = bench(bench.store.expired())
    assert job.id == id
    assert bench(bench.store.remove(id))
    assert bench(bench.store.job(id)) is None
    assert bench(bench.store.unit(id)) is None
    assert bench(bench.store.events.list()).items == []
    assert not bench(bench.store.remove(id))


def test_nobody_opens_again_what_is_being_removed(bench, monkeypatch):
    monkeypatch.setattr(removing, "AT_ONCE", 2)
    id = bench.submit(5)
    bench(bench.store.cancel(id))
    assert bench(bench.store.database.write(lambda tx: removing.remove(tx, id))) == "more"
    assert not bench(bench.store.retry(id)).open, "of its units two are gone"
    assert bench(bench.store.remove(id))
    assert bench(bench.store.job(id)) is None


def test_an_idempotency_key_is_free_again_after_removal(bench):
    from descent.deploy.jobs.store import NewJob

    job = NewJob("api", "AsyncAPI", idempotency_key="k", fingerprint="f")
    first = bench(bench.store.submit(job, units(1))).job.id
    bench(bench.store.cancel(first))
    bench(bench.store.remove(first))
    assert bench(bench.store.submit(job, units(1))).fresh


def test_a_clock_set_back_delays_nothing(bench):
    bench.submit(3, attempts=5, timeout_s=1000)
    bench(bench.store.sweep())
    alive, dead, failing = bench.lease(3, lease_s=30)
    bench(bench.store.fail(failing, "e", retry_after_s=10))
    bench(bench.store.sweep())
    bench.clock.on(-3600)
    bench(bench.store.sweep())
    bench(bench.store.renew([alive]))
    bench.clock.on(11)
    assert [lease.index for lease in bench.lease(5)] == [failing.index]
    assert bench(bench.store.renew([alive])) == []
    bench.clock.on(20)
    assert [lease.index for lease in bench.lease(5)] == [dead.index]
    job = bench.job(dead.job)
    assert job.deadline <= bench.clock() + 1000
    assert bench(bench.store.commit(alive))


def test_a_restart_after_the_clock_was_set_back_is_corrected_too(bench):
    bench.submit()
    bench.lease(lease_s=30)
    bench(bench.store.sweep())
    bench.clock.on(-86400)
    other = bench.another()
    bench(other.sweep())
    bench.clock.on(31)
    assert len(bench.lease()) == 1


def test_new_jobs_run_after_the_clock_was_set_back(bench, monkeypatch):
    from descent.deploy.jobs.store import submitting

    monkeypatch.setattr(submitting, "AHEAD", 2)
    bench.submit(5)
    bench(bench.store.sweep())
    bench.clock.on(-1000)
    bench.submit(1)
    bench(bench.store.sweep())
    assert len(bench.lease(10)) == 6
