"""The loop around the policies, with the gateway's own admission and a pool that only counts."""

from __future__ import annotations

import asyncio
import json

import pytest

from descent.deploy.asking import ask
from descent.deploy.gateway import Limits, Served
from descent.deploy.pool import Context, LoadError, Replica
from descent.deploy.scale import scaling as loop
from descent.deploy.scale.scaling import Scaler, Scaling, Subject
from tests.deploy.scale.settings import spec


class Pool:
    """Replicas that are ready as soon as they are asked for, unless told otherwise."""

    signature = None

    def __init__(self, replicas: int = 1) -> None:
        self.count = replicas
        self.asked: list[int] = []
        self.broken = ""

    async def app(self, scope, receive, send):
        status = 200 if self.count else 500
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def replicas(self):
        return [Replica(str(n), "Ready") for n in range(self.count)]

    async def scale(self, replicas):
        self.asked.append(replicas)
        if self.broken and replicas:
            raise LoadError(self.broken)
        self.count = replicas

    async def close(self, grace_s):
        self.count = 0


class World:
    """An API in simulated time; `load` is what is in flight beyond real requests."""

    def __init__(self, several=True, replicas=1, room=None, **fields):
        self.room = room
        self.now, self.load = 0.0, 0.0
        self.count, self.seconds = 0, 0.0
        self.pool = Pool(replicas)
        self.spec = spec(**fields)
        self.served = Served("sorter", 1, self.pool.app, Limits(2, 3))
        self.several = several
        self.limits: list[int] = []
        self.scaler = Scaler(self.subject(), lambda: self.now)

    def subject(self):
        def limit(replicas):
            self.limits.append(replicas)
            self.served.set_limits(Limits(2 * replicas, 3))

        return Subject(
            "sorter",
            self.spec,
            self.pool,
            lambda: self.load + self.served.in_flight + self.served.queued,
            self.served,
            lambda: (self.count, self.seconds),
            limit,
            self.several,
            self.room,
        )

    async def pass_(self, seconds):
        for _ in range(seconds):
            await self.scaler.second()
            self.now += 1

    async def request(self):
        """As the gateway does it: admission, application, leave."""
        await self.served.enter()
        try:
            return await ask(self.served.app, "/", context=Context("r1"))
        finally:
            self.served.leave()
            self.count, self.seconds = self.count + 1, self.seconds + 0.001


def test_follows_the_policy_and_the_gateway_follows():
    async def run():
        world = World()
        await world.scaler.adopt(world.subject())
        world.load = 10
        await world.pass_(205)
        # As in the table of the policy: 1 → 2 at 60, 3 at 130, 5 at 200.
        assert world.pool.asked == [1, 2, 3, 5]
        assert world.limits == [1, 2, 3, 5]
        assert world.served.limits.max_concurrency == 10
        assert world.scaler.why()[0]["text"].startswith("3 → 5: 10 in flight")

    asyncio.run(run())


def test_no_more_than_there_is_room_for():
    async def run():
        world = World(room=3)
        await world.scaler.adopt(world.subject())
        world.load = 10
        await world.pass_(205)
        assert world.pool.asked == [1, 2, 3]
        assert world.scaler.why()[0]["text"].startswith("3 stays: 10 in flight")
        assert world.scaler.why()[0]["text"].endswith("there is room for 3 here")

    asyncio.run(run())


def test_where_there_is_one_copy_no_other_is_decided_on():
    async def run():
        world = World(several=False, min_replicas=0)
        await world.scaler.adopt(world.subject())
        world.load = 10
        await world.pass_(205)
        assert world.pool.asked == []
        assert [(d["current"], d["target"]) for d in world.scaler.why()] == [(1, 1)]
        assert world.scaler.why()[0]["text"].endswith("there is room for 1 here")

    asyncio.run(run())


def test_jobs_wait_for_a_wake_up_that_works(monkeypatch):
    monkeypatch.setattr(loop, "WAKE_AGAIN_S", 0.0)

    async def run():
        world, lines = World(several=False, min_replicas=0, replicas=0), []
        subject = Subject(
            "later", world.spec, world.pool, lambda: world.load, several=False,
            log=lambda line, **fields: lines.append(line),
        )  # fmt: skip
        world.scaler = Scaler(subject, lambda: world.now)
        await world.scaler.adopt(subject)
        world.load, world.pool.broken = 1, "the disk with the weights is gone"
        await world.pass_(1)
        await world.scaler._wake
        assert lines[-1] == "could not be woken: the disk with the weights is gone"
        assert world.scaler.autoscaler.replicas == 0
        world.pool.broken = ""
        await world.pass_(1)
        await world.scaler._wake
        assert world.pool.count == 1

    asyncio.run(run())


def test_update_keeps_the_number():
    async def run():
        world = World()
        await world.scaler.adopt(world.subject())
        world.load = 10
        await world.pass_(205)
        world.pool = Pool(1)  # the next version, loaded with its init_replicas
        world.served = Served("sorter", 2, world.pool.app, Limits(2, 3))
        await world.scaler.adopt(world.subject())
        assert world.pool.asked == [5]

    asyncio.run(run())


def test_zero_and_back():
    async def run():
        world = World(several=False, min_replicas=0)
        await world.scaler.adopt(world.subject())
        await world.pass_(301)
        assert world.pool.count == 0
        waiting = [asyncio.ensure_future(world.request()) for _ in range(3)]
        await asyncio.sleep(0.2)
        answers = await asyncio.gather(*waiting)
        assert [a.status for a in answers] == [200, 200, 200]
        assert {a.headers["x-cortex-origin"] for a in answers} == {"activator"}
        assert "x-cortex-origin" not in (await world.request()).headers
        assert world.pool.asked == [0, 1]
        assert world.scaler.why()[0]["text"] == "0 → 1: a request came while at zero"

    asyncio.run(run())


def test_the_queue_holds_no_more_than_it_may():
    async def run():
        world = World(several=False, min_replicas=0)
        await world.scaler.adopt(world.subject())
        await world.pass_(301)
        world.pool.broken = "the disk with the weights is gone"
        waiting = [asyncio.ensure_future(world.request()) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Exception, match="pending request queue full"):
            await world.request()
        answers = await asyncio.gather(*waiting)
        assert {a.status for a in answers} == {503}
        assert (
            "the disk with the weights is gone" in json.loads(answers[0].body)["error"]["message"]
        )
        world.pool.broken = ""
        await asyncio.sleep(0.05)
        assert (await world.request()).status == 200, "the next one wakes it again"

    asyncio.run(run())


def test_requests_between_two_looks_count():
    async def run():
        world = World(several=False, min_replicas=0)
        await world.scaler.adopt(world.subject())
        for _ in range(40):
            await world.request()  # a millisecond each, never met in flight
            await world.pass_(10)
        assert world.pool.asked == []
        assert world.scaler.autoscaler.samples.average(world.now - 1) == pytest.approx(1e-4)
        world.count, world.seconds = world.count + 1, world.seconds + 60  # one that took a minute
        await world.pass_(1)
        assert max(v for _, v in world.scaler.autoscaler.samples.aged(world.now)[""]) == 1.0

    asyncio.run(run())


def test_idle_unload():
    async def run():
        world = World(max_replicas=1)
        world.spec = world.spec.model_copy(update={"idle_unload_s": 30.0})
        world.scaler = Scaler(world.subject(), lambda: world.now)
        await world.scaler.adopt(world.subject())
        await world.pass_(20)
        assert (await world.request()).status == 200
        await world.pass_(30)  # the first of these seconds sees that there was a request
        assert world.pool.count == 1
        await world.pass_(1)
        assert world.pool.count == 0
        assert world.scaler.why()[0]["text"] == "1 → 0: nothing for 30 s (idle_unload_s)"

    asyncio.run(run())


def test_who_comes_while_it_falls_asleep_is_answered():
    async def run():
        world = World(several=False, min_replicas=0)
        await world.scaler.adopt(world.subject())
        await world.pass_(300)
        await world.served.enter()  # one is inside when the decision falls
        ticking = asyncio.ensure_future(world.pass_(1))
        await asyncio.sleep(0.05)
        late = asyncio.ensure_future(world.request())
        await ticking
        assert (await late).status == 200
        assert world.pool.asked == [], "it never slept"
        world.served.leave()

    asyncio.run(run())


def test_an_update_answers_those_the_old_version_held():
    async def run():
        world = World(several=False, min_replicas=0)
        await world.scaler.adopt(world.subject())
        await world.pass_(301)
        old = world.pool
        held = asyncio.ensure_future(world.served.enter())
        await asyncio.sleep(0)
        world.scaler._wake.cancel()  # the update comes before anything was woken
        world.pool = Pool(1)
        world.served = Served("sorter", 2, world.pool.app, Limits(2, 3))
        await world.scaler.adopt(world.subject())
        await held
        assert old.count == 1

    asyncio.run(run())


def test_state_is_kept_and_forgotten():
    async def run():
        world, kept = World(), {}

        async def load(name):
            return kept.get(name)

        async def save(name, state):
            kept[name] = json.loads(json.dumps(state))

        subjects = [world.subject()]
        scaling = Scaling(lambda: subjects, load, save)
        world.load = 10
        await scaling.second()
        assert kept["sorter"]["state"]["recommendations"] == [[0.0, 2]] or (
            kept["sorter"]["state"]["recommendations"][0][1] == 2
        )
        again = Scaling(lambda: subjects, load, save)
        await again.second()
        assert [rec for _, rec in kept["sorter"]["state"]["recommendations"]] == [2, 2]
        subjects.clear()
        await again.second()
        assert kept == {"sorter": None}

    asyncio.run(run())


def test_one_apis_trouble_is_not_the_others(caplog):
    async def run():
        good, bad = World(), World()
        bad.pool.replicas = lambda: 1 / 0
        subjects = [bad.subject(), good.subject()]

        async def load(name):
            return None

        saved = []

        async def save(name, state):
            saved.append(name)

        object.__setattr__(subjects[0], "name", "bad")
        await Scaling(lambda: subjects, load, save).second()
        assert saved == ["sorter"]
        assert "scaling 'bad' failed" in caplog.text

    asyncio.run(run())


def test_a_store_that_fails_does_not_end_the_loop(monkeypatch, caplog):
    monkeypatch.setattr(loop, "SAMPLE_S", 0.0)

    async def run():
        world, saved = World(), asyncio.Event()
        subjects, fails = [world.subject()], [OSError("the disk is full")]

        async def load(name):
            return None

        async def save(name, state):
            if state is None and fails:
                raise fails.pop()
            if not fails:
                saved.set()

        scaling = Scaling(lambda: subjects, load, save)
        await scaling.second()
        gone = subjects.pop()
        scaling.start()
        while fails:
            await asyncio.sleep(0)
        subjects.append(gone)
        async with asyncio.timeout(10):
            await saved.wait()
        await scaling.close()
        assert "the disk is full" in caplog.text

    asyncio.run(run())


def test_an_api_that_never_sleeps_is_asked_directly():
    async def run():
        for sleeps in (True, False):
            world = World(several=False, min_replicas=0 if sleeps else 1)
            await world.scaler.adopt(world.subject())
            assert (world.served.app == world.pool.app) is not sleeps

    asyncio.run(run())


def test_nothing_to_decide_is_not_measured():
    world = World(several=False)
    assert not world.scaler.active
    assert World(max_replicas=1).scaler.active is False
    assert World(max_replicas=2).scaler.active
    assert World(several=False, min_replicas=0).scaler.active
