"""Traffic that is shared among APIs: by weight, with copies, taken back by the guard."""

import asyncio

import pytest

from descent.deploy.errors import DeployError
from descent.deploy.spec import make_spec
from tests.deploy.control.fakes import FakeBackend, run, spec, splitter, until


def test_what_a_splitter_needs_is_not_deleted_by_accident(tmp_path):
    async def story(p):
        await p.deploy(spec("a", says="a"), splitter("s", a=100))
        assert await p.ask("/s") == "a"
        with pytest.raises(DeployError, match="'s' sends traffic to 'a'"):
            await p.controller.delete("a")
        await p.controller.delete("a", force=True)
        assert (await p.ask("/s")).status == 503

    run(tmp_path, story)


@pytest.mark.parametrize("failures", [0, 1])
def test_the_guard_takes_traffic_back(tmp_path, monkeypatch, failures):
    monkeypatch.setattr("descent.deploy.control.splitting.LOOK_S", 0.02)

    class Broken(FakeBackend):
        async def start(self, start):
            pool = await super().start(start)
            if start.spec.name == "new":

                async def failing(scope, receive, send):
                    raise RuntimeError("this version is bad")

                pool.app = failing
            return pool

    async def story(p):
        change, left = p.controller.change, [OSError("the store is away")] * failures

        async def changing(*args, **options):
            if left:
                raise left.pop()
            return await change(*args, **options)

        p.controller.change = changing
        guard = {"max_error_rate": 0.1, "min_requests": 5, "window_s": 10}
        await p.deploy(spec("old", says="old"), spec("new", says="new"))
        await p.deploy(splitter("s", old=100, new=0))
        await p.deploy(splitter("s", guard, old=50, new=50))
        while p.controller.api("s").live.version != 3:  # `run` ends it after 30 s
            await p.ask("/s")
            await asyncio.sleep(0.002)
        weights = {split.name: split.weight for split in p.controller.api("s").live.spec.apis}
        assert weights == {"old": 100, "new": 0}
        assert [await p.ask("/s") for _ in range(20)] == ["old"] * 20
        newest = (await p.controller.history("s"))[0]
        assert newest["by"] == "guard"
        assert "traffic of 'new' goes back to 'old'" in newest["reason"]

    run(tmp_path, story, Broken())


def test_a_shadow_gets_copies_and_its_answers_are_dropped(tmp_path):
    async def story(p):
        specs = spec("a", says="a"), spec("b", says="b", pod={"max_concurrency": 20})
        shadowed = make_spec({"name": "s", "kind": "TrafficSplitter", "apis": [
            {"name": "a", "weight": 100}, {"name": "b", "weight": 0, "shadow": True}]})  # fmt: skip
        await p.deploy(*specs, shadowed)
        assert [await p.ask("/s") for _ in range(10)] == ["a"] * 10
        await until(lambda: sum(p.gateway.metrics.api("b").codes.values()) == 10)
        assert p.gateway.metrics.api("b").codes == {200: 10}

    run(tmp_path, story)


def test_weights_change_without_losing_a_request(tmp_path):
    async def story(p):
        await p.deploy(
            spec("a", says="a", hold_s=0.001), spec("b", says="b"), splitter("s", a=99, b=1)
        )
        answers = []

        async def asking():
            while True:
                answers.append(await p.ask("/s"))
                await asyncio.sleep(0)

        task = asyncio.create_task(asking())
        for share in (50, 0, 100, 1):
            await p.controller.change("s", "tests", lambda _, share=share: {
                "apis": [{"name": "a", "weight": share}, {"name": "b", "weight": 100 - share}]})  # fmt: skip
            await asyncio.sleep(0.05)
        task.cancel()
        assert set(answers) == {"a", "b"}

    run(tmp_path, story)
