"""Attempts, back-off, fences, dead letters."""

import pytest

from descent.deploy.jobs.store import Content


def test_failed_attempts_wait_longer_each_time_and_end_among_the_dead(bench):
    id = bench.submit(attempts=3, backoff_s=2.0)
    for attempt, pause in ((1, 2.0), (2, 4.0)):
        (lease,) = bench.lease()
        assert (lease.attempt, lease.last) == (attempt, False)
        assert bench(bench.store.fail(lease, f"error {attempt}")) == "queued"
        bench.clock.on(pause - 0.1)
        assert bench.lease() == []
        bench.clock.on(0.2)
    (lease,) = bench.lease()
    assert lease.last
    assert bench(bench.store.fail(lease, "error 3")) == "dead"
    bench.clock.on(10_000)
    assert bench.lease() == []
    (letter,) = bench(bench.store.dead_letters("api")).items
    assert (letter.job, letter.attempts, letter.error) == (id, 3, "error 3")
    assert (bench.job(id).retried, bench.job(id).failed) == (2, 1)


def test_a_failure_can_be_final_or_name_its_own_pause(bench):
    bench.submit(2)
    first, second = bench.lease(2)
    assert bench(bench.store.fail(first, "400: bad item", retry=False)) == "failed"
    assert bench(bench.store.fail(second, "503", retry_after_s=100.0)) == "queued"
    bench.clock.on(99)
    assert bench.lease() == []
    bench.clock.on(1)
    assert [lease.index for lease in bench.lease()] == [1]
    assert bench(bench.store.dead_letters("api")).items == []


def test_a_unit_that_kills_its_worker_ends_among_the_dead(bench):
    id = bench.submit(2, attempts=2)
    for _ in range(2):
        poison = bench.lease(worker="doomed")[0]
        assert poison.index == 0
        for lease in bench.lease(5):
            assert bench(bench.store.commit(lease))
        bench.clock.on(31)
    assert bench.lease() == []
    assert bench.job(id).status == "completed_with_failures"
    (letter,) = bench(bench.store.dead_letters("api")).items
    assert letter.index == 0
    assert "worker went away" in letter.error


def test_a_stale_fence_commits_nothing(bench):
    id = bench.submit()
    (old,) = bench.lease(worker="zombie")
    bench.clock.on(31)
    (new,) = bench.lease(worker="heir")
    assert new.fence > old.fence
    assert not bench(bench.store.commit(old, Content(b"old")))
    assert bench(bench.store.fail(old, "late")) == "refused"
    assert not bench(bench.store.release(old))
    assert bench(bench.store.renew([old, new])) == [old]
    assert bench(bench.store.commit(new, Content(b"new")))
    assert not bench(bench.store.commit(old, Content(b"old")))
    assert bench(bench.store.unit(id)).result == Content(b"new")


def test_a_lease_that_ran_out_commits_nothing_even_if_nobody_took_it(bench):
    bench.submit()
    (lease,) = bench.lease()
    bench.clock.on(31)
    assert bench(bench.store.sweep()).returned == 1
    assert not bench(bench.store.commit(lease))


def test_renewing_keeps_a_lease(bench):
    bench.submit()
    (lease,) = bench.lease()
    for _ in range(5):
        bench.clock.on(20)
        assert bench(bench.store.renew([lease])) == []
    assert bench.lease() == []
    assert bench(bench.store.commit(lease))


def test_committing_and_failing_twice_is_once(bench):
    id = bench.submit(2, attempts=5, backoff_s=0)
    first, second = bench.lease(2)
    assert bench(bench.store.commit(first))
    assert bench(bench.store.commit(first))
    assert bench(bench.store.fail(second, "e")) == bench(bench.store.fail(second, "e")) == "queued"
    job = bench.job(id)
    assert (job.done, job.retried, job.running) == (1, 1, 0)


def test_releasing_does_not_count_the_attempt(bench):
    bench.submit(attempts=1)
    (lease,) = bench.lease()
    assert bench(bench.store.release(lease))
    assert bench(bench.store.release(lease))
    (again,) = bench.lease()
    assert (again.attempt, again.fence) == (1, 2)


def test_recovering_takes_back_the_leases_of_a_process_that_is_gone(bench):
    bench.submit(3)
    bench.lease(2, worker="node-1/a")
    bench.lease(1, worker="node-2/a")
    assert bench(bench.store.recover("node-1/")) == (2, 0)
    assert len(bench.lease(5)) == 2


@pytest.mark.parametrize("ended", [True, False])
def test_dead_letters_are_driven_again(bench, ended):
    id = bench.submit(4, attempts=1, events=("webhook",))
    leases = bench.lease(4)
    for lease in leases[:3]:
        assert bench(bench.store.fail(lease, "down")) == "dead"
    if ended:
        assert bench(bench.store.commit(leases[3]))
        assert bench.job(id).status == "completed_with_failures"
    assert bench(bench.store.redrive("api", limit=2)) == 2
    job = bench.job(id)
    assert (job.open, job.failed, job.reason) == (True, 1, "")
    assert [lease.attempt for lease in bench.lease(5)] == [1, 1]
    assert bench(bench.store.redrive("api", job=id)) == 1
    assert bench(bench.store.redrive("api")) == 0


def test_an_ended_job_is_retried_and_ends_again(bench):
    id = bench.submit(3, attempts=1, events=("webhook",))
    leases = bench.lease(3)
    assert bench(bench.store.commit(leases[0]))
    bench(bench.store.fail(leases[1], "down"))
    assert bench(bench.store.retry(id)).failed == 1, "an open job stays as it is"
    bench(bench.store.fail(leases[2], "refused", retry=False))
    job = bench(bench.store.retry(id))
    assert (job.status, job.failed, job.done, job.round) == ("running", 0, 1, 1)
    for lease in bench.lease(3):
        assert bench(bench.store.commit(lease))
    assert bench.job(id).status == "succeeded"
    assert bench(bench.store.retry(id)).status == "succeeded"
    events = bench(bench.store.events.list(job=id)).items
    assert [event.payload["status"] for event in events] == ["completed_with_failures", "succeeded"]


def test_a_cancelled_job_can_be_retried(bench):
    id = bench.submit(3, kind="AsyncAPI")
    bench.lease(1)
    bench(bench.store.cancel(id))
    assert bench(bench.store.retry(id)).status == "in_queue"
    assert [lease.index for lease in bench.lease(5)] == [0, 1, 2]
