"""The outbox, schedules, versions, keys and settings."""

import asyncio

from descent.deploy.jobs.store import NewJob, NewUnit
from descent.deploy.jobs.store.outbox import ATTEMPTS


def ended(bench, **fields):
    id = bench.submit(events=("webhook", "on-job-complete"), **fields)
    (lease,) = bench.lease()
    assert bench(bench.store.commit(lease))
    return id


def claim(bench, names=("webhook",), n=5, store=None, **fields):
    return bench((store or bench.store).events.claim(names, n, worker="w", **fields))


def test_the_end_of_a_job_is_told_once_to_one(bench):
    id = ended(bench)
    other = bench.another()
    (event,) = claim(bench)
    assert claim(bench, store=other) == []
    assert (event.name, event.job, event.attempt) == ("webhook", id, 1)
    assert event.payload["status"] == "succeeded"
    assert bench(bench.store.events.done(event))
    assert bench(bench.store.events.done(event))
    bench.clock.on(1000)
    assert claim(bench) == []
    assert [e.name for e in claim(bench, ["on-job-complete"])] == ["on-job-complete"]


def test_a_delivery_is_tried_again_with_back_off_and_given_up(bench):
    ended(bench)
    pauses = []
    for attempt in range(1, ATTEMPTS + 1):
        (event,) = claim(bench)
        assert event.attempt == attempt
        state = bench(bench.store.events.fail(event, "connection refused"))
        if state == "queued":
            pauses.append(
                bench(bench.store.events.list(state=["queued"])).items[-1].not_before
                - bench.clock()
            )
            bench.clock.on(pauses[-1] + 0.01)
    assert state == "dead"
    assert pauses == [2.0**i for i in range(ATTEMPTS - 1)]
    assert claim(bench) == []
    assert bench(bench.store.events.again(event.id))
    assert len(claim(bench)) == 1


def test_a_claim_that_ran_out_is_anothers_and_the_first_is_refused(bench):
    ended(bench)
    (old,) = claim(bench)
    bench.clock.on(31)
    (new,) = claim(bench)
    assert (new.id, new.fence) == (old.id, old.fence + 1)
    assert not bench(bench.store.events.done(old))
    assert bench(bench.store.events.fail(old, "late")) == "refused"
    assert bench(bench.store.events.done(new))


def test_a_delivery_that_took_longer_than_its_claim_is_not_repeated(bench):
    ended(bench)
    (event,) = claim(bench)
    bench.clock.on(31)
    bench(bench.store.sweep())
    assert bench(bench.store.events.done(event)), "nobody has claimed it since"
    assert claim(bench) == []


def test_claims_of_a_process_that_is_gone_are_taken_back(bench):
    ended(bench)
    (old,) = claim(bench)
    bench(bench.store.recover("someone else"))
    assert claim(bench) == []
    bench(bench.store.recover("w"))
    (new,) = claim(bench)
    assert (new.id, new.attempt) == (old.id, 2)


def test_events_are_claimed_by_api(bench):
    ended(bench)
    assert claim(bench, api="other") == []
    assert len(claim(bench, api="api")) == 1


def test_a_due_run_is_had_by_one_process(bench):
    schedules = bench.store.schedules
    bench(schedules.set("nightly", "0 3 * * *", 100.0, {"a": 1}))
    assert bench(schedules.due(99.0)) == []
    (due,) = bench(schedules.due(100.0))
    other = bench.another()

    async def both():
        job = NewJob("nightly", "TaskAPI", attempts=1)
        return await asyncio.gather(
            schedules.run(due, job, NewUnit(), next_run=200.0, now=101.0),
            other.schedules.run(due, job, NewUnit(), next_run=200.0, now=101.0),
        )

    taken = [one for one in bench(both()) if one is not None]
    assert len(taken) == 1
    assert len(bench(bench.store.jobs("nightly")).items) == 1
    kept = bench(schedules.get("nightly"))
    assert (kept.next_run, kept.last_run, kept.last_job) == (200.0, 100.0, taken[0].job.id)


def test_setting_a_schedule_again_keeps_a_missed_run(bench):
    schedules = bench.store.schedules
    bench(schedules.set("s", "0 3 * * *", 100.0))
    bench(schedules.set("s", "0 3 * * *", 900.0))
    assert bench(schedules.get("s")).next_run == 100.0
    bench(schedules.set("s", "0 4 * * *", 900.0))
    assert bench(schedules.get("s")).next_run == 900.0
    assert bench(schedules.remove("s"))
    assert not bench(schedules.remove("s"))
    assert bench(schedules.all()) == []


def test_versions_are_numbered_and_one_is_active(bench):
    versions = bench.store.versions
    first = bench(
        versions.add("sorter", "RealtimeAPI", {"name": "sorter"}, by="ada", folder="/f/1")
    )
    second = bench(versions.add("sorter", "RealtimeAPI", {"name": "sorter", "x": 1}, by="ada"))
    assert (first.number, second.number) == (1, 2)
    bench(versions.set_state("sorter", 2, "failed", "no module named torch"))
    bench(versions.activate("sorter", 1))
    api = bench(versions.api("sorter"))
    assert (api.kind, api.active, api.latest) == ("RealtimeAPI", 1, 2)
    newest = bench(versions.list("sorter"))[0]
    assert (newest.state, newest.reason, newest.spec) == (
        "failed", "no module named torch", {"name": "sorter", "x": 1},
    )  # fmt: skip
    bench(versions.forget("sorter", 1))
    assert bench(versions.get("sorter", 1)) is not None, "the active one stays"
    assert bench(versions.delete("sorter"))
    assert not bench(versions.delete("sorter"))
    assert bench(versions.apis()) == []
    assert bench(versions.add("sorter", "AsyncAPI", {}, by="bob")).number == 3


def test_keys_are_added_used_and_revoked(bench):
    keys = bench.store.keys
    bench(keys.add("k1", "laptop", "hash-1", ["invoke"], {"per_minute": 60}))
    bench(keys.add("k2", "ci", "hash-2", ["deploy"], {}))
    bench(keys.used(["k1"]))
    assert bench(keys.revoke("k2"))
    assert not bench(keys.revoke("k2"))
    (key,) = bench(keys.all(revoked=False))
    assert (key.id, key.scopes, key.rate, key.used) == (
        "k1",
        ("invoke",),
        {"per_minute": 60},
        bench.clock(),
    )
    assert [key.id for key in bench(keys.all())] == ["k1", "k2"]


def test_settings_are_names_and_values(bench):
    settings = bench.store.settings
    assert bench(settings.get("a.b", 7)) == 7
    bench(settings.set("a.b", {"x": [1, None]}))
    bench(settings.set("a.b", {"x": [2]}))
    bench(settings.set("c", True))
    assert bench(settings.all("a.")) == {"a.b": {"x": [2]}}
    bench(settings.set("a.b", None))
    assert bench(settings.get("a.b")) is None
