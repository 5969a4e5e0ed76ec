"""Jobs from acceptance to their end, in the words of each kind."""

import pytest

from descent.deploy.jobs.store import Conflict, Content, Gone, NewJob
from tests.deploy.jobs.store.conftest import opened, units
from tests.deploy.postgres import fresh_url


def test_units_are_leased_in_order_and_their_results_kept(bench):
    id = bench.submit(5)
    assert bench.job(id).status == "running"
    leases = bench.lease(2)
    assert [(lease.job, lease.index, lease.attempt) for lease in leases] == [(id, 0, 1), (id, 1, 1)]
    assert leases[1].payload == Content(b"payload 1", meta={"n": 1})
    for lease in leases + bench.lease(10):
        assert bench(
            bench.store.commit(lease, Content(b"r%d" % lease.index, meta={"type": "text"}))
        )
    job = bench.job(id)
    assert (job.status, job.total, job.done, job.failed, job.running) == ("succeeded", 5, 5, 0, 0)
    assert job.ended == bench.clock()
    page = bench(bench.store.units(id))
    assert [unit.result for unit in page.items] == [
        Content(b"r%d" % i, meta={"type": "text"}) for i in range(5)
    ]
    assert page.cursor is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("AsyncAPI", ["in_queue", "in_progress", "completed", "failed", "cancelled"]),
        ("BatchAPI", ["running", "running", "succeeded", "completed_with_failures", "stopped"]),
        ("TaskAPI", ["pending", "running", "succeeded", "worker_error", "stopped"]),
    ],
)
def test_each_kind_has_cortex_words(bench, kind, words):
    good, bad, cancelled = (bench.submit(kind=kind, attempts=1) for _ in range(3))
    said = [bench.job(good).status]
    first, second = bench.lease(2)
    said.append(bench.job(good).status)
    assert bench(bench.store.commit(first))
    said.append(bench.job(good).status)
    assert bench(bench.store.fail(second, "no such file")) == "dead"
    said.append(bench.job(bad).status)
    assert "no such file" in bench.job(bad).reason
    bench(bench.store.cancel(cancelled))
    said.append(bench.job(cancelled).status)
    assert said == words
    assert bench.lease(1) == []


def test_a_task_ends_with_its_failures_code(bench):
    id = bench.submit(kind="TaskAPI", attempts=1)
    (lease,) = bench.lease()
    assert bench(bench.store.fail(lease, "killed: out of memory", code="worker_oom")) == "dead"
    assert (bench.job(id).status, bench.job(id).reason) == ("worker_oom", "killed: out of memory")


def test_a_job_without_units_succeeds_at_once(bench):
    assert bench.job(bench.submit(0)).status == "succeeded"


def test_an_idempotency_key_answers_the_first_job(bench):
    first = bench(
        bench.store.submit(
            NewJob("api", "AsyncAPI", idempotency_key="k", fingerprint="f"), units(1)
        )
    )
    again = bench(
        bench.store.submit(
            NewJob("api", "AsyncAPI", idempotency_key="k", fingerprint="f"), units(1)
        )
    )
    assert (first.fresh, again.fresh) == (True, False)
    assert again.job.id == first.job.id
    with pytest.raises(Conflict, match="used for another request"):
        bench(
            bench.store.submit(
                NewJob("api", "AsyncAPI", idempotency_key="k", fingerprint="g"), units(1)
            )
        )
    other = bench(
        bench.store.submit(
            NewJob("other", "AsyncAPI", idempotency_key="k", fingerprint="g"), units(1)
        )
    )
    assert other.fresh, "keys are each API's own"


def test_the_same_id_twice_is_one_job(bench):
    job = NewJob("api", "AsyncAPI", id="request-1")
    assert bench(bench.store.submit(job, units(1))).fresh
    assert not bench(bench.store.submit(job, units(1))).fresh
    assert len(bench.lease(10)) == 1


def test_two_stores_never_lease_the_same_unit(bench):
    bench.submit(50)
    other = bench.another()
    seen = []
    while True:
        mine, theirs = bench.lease(3), bench(other.lease("api", 4, worker="v"))
        if not mine and not theirs:
            break
        seen += [lease.index for lease in mine + theirs]
    assert sorted(seen) == list(range(50))


def test_cancelling_refuses_what_is_under_way(bench):
    id = bench.submit(3)
    (lease,) = bench.lease()
    job = bench(bench.store.cancel(id, "no longer wanted"))
    assert (job.status, job.reason, job.running) == ("stopped", "no longer wanted", 0)
    assert not bench(bench.store.commit(lease))
    assert bench(bench.store.renew([lease])) == [lease]
    assert bench(bench.store.fail(lease, "late")) == "refused"
    assert not bench(bench.store.set_progress(lease, 0.5))
    assert bench(bench.store.cancel(id, "again")).reason == "no longer wanted"
    with pytest.raises(Gone, match="no job nobody"):
        bench(bench.store.cancel("nobody"))


def test_lists_have_filters_and_cursors(bench):
    ids = []
    for i in range(7):
        bench.clock.on(1)
        ids.append(bench.submit(kind="AsyncAPI" if i % 2 else "BatchAPI"))
    bench.submit(api="other")
    first = bench(bench.store.jobs("api", limit=3))
    second = bench(bench.store.jobs("api", limit=3, cursor=first.cursor))
    third = bench(bench.store.jobs("api", limit=3, cursor=second.cursor))
    assert [job.id for page in (first, second, third) for job in page.items] == ids[::-1]
    assert third.cursor is None
    assert len(bench(bench.store.jobs("api", status=["in_queue"])).items) == 3
    assert len(bench(bench.store.jobs("api", kind="BatchAPI", open=True)).items) == 4
    assert bench(bench.store.jobs("api", open=False)).items == []
    assert len(bench(bench.store.jobs("api", since=bench.clock() - 1.5)).items) == 2
    some = bench(bench.store.units(bench.submit(5), limit=2, payloads=False))
    assert [(unit.index, unit.payload.data) for unit in some.items] == [(0, None), (1, None)]
    assert some.cursor == "1"


def test_progress_counts_and_time_left(bench):
    id = bench.submit(10)
    leases = bench.lease(4)
    bench.clock.on(2)
    for lease in leases[:2]:
        assert bench(bench.store.commit(lease))
    assert bench(bench.store.set_progress(leases[3], {"step": 7}))
    job = bench.job(id)
    assert (job.waiting, job.running, job.done, job.progress) == (6, 2, 2, {"step": 7})
    assert job.eta_s(bench.clock()) == pytest.approx(8.0)
    assert job.busy_s == pytest.approx(4.0)
    assert bench(bench.store.counts("api")) == {"queued": 6, "leased": 2, "dead": 0, "open_jobs": 1}


def test_waiting_for_work_ends_when_there_is_some(bench):
    import asyncio

    async def meet():
        store = bench.store
        assert await store.lease("api", 1, worker="w") == []
        assert not await store.wait("api", 0.01)
        waiting = asyncio.create_task(store.wait("api", 20))
        await asyncio.sleep(0.01)
        await store.submit(NewJob("api", "AsyncAPI"), units(1))
        assert await waiting
        return await store.lease("api", 1, worker="w")

    assert len(bench(meet())) == 1


def test_postgres_wakes_the_workers_of_other_nodes():
    import asyncio

    with opened(fresh_url()) as bench:
        other = bench.another()

        async def meet():
            assert await other.lease("api", 1, worker="w") == []
            waiting = asyncio.create_task(other.wait("api", 30))
            for _ in range(100):  # the listener may still be connecting
                await bench.store.submit(NewJob("api", "AsyncAPI"), units(1))
                if (await asyncio.wait([waiting], timeout=0.2))[0]:
                    return await waiting
            return False

        assert bench(meet())


def test_text_that_a_database_refuses_is_kept_readable(bench):
    id = bench.submit(attempts=1)
    (lease,) = bench.lease()
    bench(bench.store.fail(lease, "nul \0, surrogate \ud800, " + "long " * 10_000))
    unit = bench(bench.store.unit(id))
    assert unit.error.startswith("nul �, surrogate \\ud800, long")
    assert len(unit.error) < 9000
