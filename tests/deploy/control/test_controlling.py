"""Versions that replace one another: what answers before, during and after each change."""

import asyncio

import pytest

from descent.deploy.errors import DeployError
from descent.deploy.pool import Replica
from descent.deploy.spec import changed
from tests.deploy.control.fakes import FakeBackend, run, spec, splitter, until


def test_a_version_is_live_with_its_number(tmp_path):
    async def story(p):
        [done] = await p.deploy(spec(says="one"))
        assert (done.version, done.changed, done.error) == (1, True, None)
        assert await p.ask("/a") == "one"
        [done] = await p.deploy(spec(says="two"))
        assert done.version == 2
        assert await p.ask("/a") == "two"

    run(tmp_path, story)


def test_the_same_again_changes_nothing_unless_forced(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        [done] = await p.deploy(spec(says="one"))
        assert (done.version, done.changed) == (1, False)
        [done] = await p.deploy(spec(says="one"), force=True)
        assert (done.version, done.changed) == (2, True)
        assert len(p.backend.pools) == 2

    run(tmp_path, story)


def test_requests_inside_end_in_the_version_they_entered(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        [old], gate = p.backend.pools, asyncio.Event()
        old.gate = gate
        slow = asyncio.create_task(p.ask("/a"))
        queued = [asyncio.create_task(p.ask("/a")) for _ in range(2)]
        await until(lambda: old.inside)
        await p.deploy(spec(says="two"))
        assert await p.ask("/a") == "two"  # at once, while the others are still in the old one
        assert not slow.done()
        gate.set()
        assert [await slow, *await asyncio.gather(*queued)] == ["one"] * 3
        await until(lambda: old.closed)
        assert [pool.start.version for pool in p.backend.open] == [2]

    run(tmp_path, story)


def test_a_failing_version_never_replaces_the_good_one(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        [done] = await p.deploy(spec(breaks="no such weights"))
        assert done.error == (
            "version 2 of 'a' could not be loaded; version 1 goes on: no such weights"
        )
        assert await p.ask("/a") == "one"
        history = await p.controller.history("a")
        states = [(v["number"], v["state"], v["reason"]) for v in history]
        assert states == [(2, "failed", "no such weights"), (1, "live", "")]
        assert p.controller.api("a").state == "live"

    run(tmp_path, story)


def test_a_first_version_that_fails_is_remembered_and_answers_nothing(tmp_path):
    async def story(p):
        [done] = await p.deploy(spec(breaks="oh"))
        assert done.error.endswith("could not be loaded: oh")
        assert (await p.ask("/a")).status == 404
        assert p.controller.api("a").state == "failed"
        [done] = await p.deploy(spec(says="two"))
        assert done.version == 2
        assert await p.ask("/a") == "two"

    run(tmp_path, story)


def test_rollback_goes_to_the_last_good_version_and_back(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        await p.deploy(spec(says="two"))
        await p.deploy(spec(breaks="x"))
        api = p.controller.api("a")
        assert (await api.rollback(None)).number == 1
        assert await p.ask("/a") == "one"
        assert (await api.rollback(None)).number == 2
        assert (await api.rollback(1)).number == 1
        with pytest.raises(DeployError, match="has no version 9; it has 3, 2, 1"):
            await api.rollback(9)

    run(tmp_path, story)


def test_a_rollback_without_a_way_back_says_so(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        with pytest.raises(DeployError, match="no earlier good version"):
            await p.controller.api("a").rollback(None)

    run(tmp_path, story)


def test_a_rollback_that_fails_leaves_the_live_version(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        await p.deploy(spec(says="two"))
        p.backend.broken["a"] = "weights were lost"
        with pytest.raises(DeployError, match="version 2 goes on: weights were lost"):
            await p.controller.api("a").rollback(None)
        assert await p.ask("/a") == "two"

    run(tmp_path, story)


def test_refresh_loads_the_same_version_anew(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        assert (await p.controller.api("a").refresh()).number == 1
        old, new = p.backend.pools
        await until(lambda: old.closed)
        assert not new.closed
        assert await p.ask("/a") == "one"

    run(tmp_path, story)


def test_deploys_of_one_api_wait_for_each_other(tmp_path):
    async def story(p):
        first = asyncio.create_task(p.deploy(spec(says="one", load_s=0.1)))
        await asyncio.sleep(0.02)
        [second] = await p.deploy(spec(says="two", load_s=0.01))
        [first] = await first
        assert (first.version, second.version) == (1, 2)
        assert p.backend.most_loading == 1
        assert await p.ask("/a") == "two"

    run(tmp_path, story)


def test_different_apis_load_side_by_side(tmp_path):
    class Meeting(FakeBackend):
        async def start(self, start):
            await self.both.wait()  # each waits for the other
            return await super().start(start)

    async def story(p):
        p.backend.both = asyncio.Barrier(2)
        done = await p.deploy(spec("a"), spec("b"))
        assert [each.error for each in done] == [None, None]

    run(tmp_path, story, Meeting())


def test_one_that_fails_does_not_keep_the_others_from_being_live(tmp_path):
    async def story(p):
        done = await p.deploy(spec("a", breaks="x"), spec("b", says="b"))
        assert [bool(each.error) for each in done] == [True, False]
        assert await p.ask("/b") == "b"

    run(tmp_path, story)


def test_specs_that_do_not_fit_are_refused_before_anything_is_done(tmp_path):
    async def story(p):
        await p.deploy(spec("a"), splitter("s", a=100))
        for bad, words in [
            (splitter("t", b=100), "names 'b', which is not deployed"),
            (splitter("t", s=100), "names 's', which is a TrafficSplitter"),
            (splitter("a", b=100), "'a' is a RealtimeAPI and cannot become a TrafficSplitter"),
            (spec("c", networking={"endpoint": "/a"}), "which 'a' has"),
            (spec("c").model_copy(update={"backend": "ray"}), "backend of 'c' is 'ray'"),
        ]:
            with pytest.raises(DeployError, match=words):
                await p.deploy(spec("fine"), bad)
        assert sorted(p.controller.apis) == ["a", "s"]

    run(tmp_path, story)


def test_an_endpoint_moves_with_its_version(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        await p.deploy(spec(says="two", networking={"endpoint": "/other"}))
        assert await p.ask("/other/below") == "two"
        assert (await p.ask("/a")).status == 404
        await p.controller.api("a").rollback(None)
        assert await p.ask("/a") == "one"

    run(tmp_path, story)


def test_a_rollback_to_an_endpoint_that_another_has_meanwhile_is_refused(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one", networking={"endpoint": "/place"}))
        await p.deploy(spec(says="two"))
        await p.deploy(spec("b", says="b", networking={"endpoint": "/place"}))
        with pytest.raises(DeployError, match="'/place', which 'b' has"):
            await p.controller.api("a").rollback(None)
        assert [await p.ask("/a"), await p.ask("/place")] == ["two", "b"]
        assert p.controller.api("a").live.version == 2

    run(tmp_path, story)


def test_delete_lets_those_inside_finish_and_forgets(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one", hold_s=0.1))
        inside = asyncio.create_task(p.ask("/a"))
        await asyncio.sleep(0.02)
        await p.controller.delete("a")
        assert await inside == "one"
        assert (await p.ask("/a")).status == 404
        assert not p.backend.open
        assert not (tmp_path / "versions" / "a").exists()
        with pytest.raises(DeployError, match="there is no API 'a'"):
            await p.controller.delete("a")
        [done] = await p.deploy(spec(says="anew"))
        assert done.version == 2  # a number never means two things

    run(tmp_path, story)


def test_history_says_who_and_what_changed(tmp_path):
    async def story(p):
        await p.deploy(spec(says="one"))
        await p.deploy(spec(says="two", pod={"max_concurrency": 8}))
        newest, first = await p.controller.history("a")
        assert newest["by"] == "tests"
        assert newest["changes"] == ["config.says: 'one' → 'two'", "pod.max_concurrency: unset → 8"]
        assert first["changes"] == []

    run(tmp_path, story)


def test_a_new_version_has_as_many_replicas_as_the_one_before_when_traffic_comes(tmp_path):
    class Many(FakeBackend):
        name = "command"

        async def start(self, start):
            pool = await super().start(start)
            pool.n = start.spec.autoscaling.min_replicas
            pool.replicas = lambda: [Replica(str(i), "Ready") for i in range(pool.n)]

            async def scale(n):
                await asyncio.sleep(0.05)
                pool.n = n

            pool.scale = scale
            return pool

    async def story(p):
        p.controller.starter.backends["command"] = p.backend
        first = spec(says="one").model_copy(update={"backend": "command"})
        await p.deploy(changed(first, backend="command"))
        await p.backend.pools[0].scale(5)
        await p.deploy(changed(first, backend="command", config={"says": "two"}, max_replicas=4))
        _, new = p.backend.pools
        assert new.n == 4  # not five: its own bound
        assert p.controller.api("a").live.served.limits.max_concurrency == 4
        assert await p.ask("/a") == "two"

    run(tmp_path, story, Many())
