"""What a node that starts again finds: versions come back, requests wait for them."""

import asyncio

from tests.deploy.control.fakes import run, spec, splitter, until


def test_everything_comes_back_after_a_restart(tmp_path):
    async def before(p):
        await p.deploy(spec("a", says="one"), spec("b", says="b"), splitter("s", a=60, b=40))
        await p.deploy(spec("a", says="two"))
        await p.controller.delete("b", force=True)

    async def after(p):
        await p.controller.prepare()
        await p.controller.start()
        assert await p.ask("/a") == "two"
        assert (await p.ask("/b")).status == 404
        assert p.controller.api("s").live.spec.apis[0].weight == 60
        assert (await p.controller.api("a").rollback(None)).number == 1
        assert await p.ask("/a") == "one"

    run(tmp_path, before)
    run(tmp_path, after)


def test_requests_wait_for_a_version_that_is_coming_back(tmp_path):
    async def before(p):
        await p.deploy(spec(says="one", load_s=0.2))

    async def after(p):
        await p.controller.prepare()
        starting = asyncio.create_task(p.controller.start())
        assert p.controller.api("a").state == "loading"
        assert await asyncio.gather(*(p.ask("/a") for _ in range(5))) == ["one"] * 5
        await starting

    run(tmp_path, before)
    run(tmp_path, after)


def test_a_version_that_does_not_come_back_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("descent.deploy.control.apis._RETRY_S", (0.05,))

    async def before(p):
        await p.deploy(spec(says="one"))

    async def after(p):
        p.backend.broken["a"] = "the disk is not mounted yet"
        await p.controller.prepare()
        await p.controller.start()
        answer = await p.ask("/a")
        assert answer.status == 503
        assert b"the disk is not mounted yet" in answer.body
        assert p.controller.api("a").state == "failed"
        p.backend.broken.clear()
        await until(lambda: p.controller.api("a").state == "live")
        assert await p.ask("/a") == "one"

    run(tmp_path, before)
    run(tmp_path, after)


def test_a_restart_in_the_middle_of_a_deploy_leaves_the_old_version(tmp_path):
    async def before(p):
        await p.deploy(spec(says="one"))
        going = asyncio.create_task(p.deploy(spec(says="two", load_s=60)))
        await until(lambda: p.controller.api("a").loading == 2)
        going.cancel()

    async def after(p):
        await p.controller.prepare()
        await p.controller.start()
        assert await p.ask("/a") == "one"
        history = await p.controller.history("a")
        assert [(v["number"], v["state"]) for v in history] == [(2, "interrupted"), (1, "live")]
        [done] = await p.deploy(spec(says="two"))
        assert done.version == 3

    run(tmp_path, before)
    run(tmp_path, after)


def test_a_deploy_that_comes_before_the_old_version_is_back_replaces_it(tmp_path):
    async def before(p):
        await p.deploy(spec(says="one"))

    async def after(p):
        await p.controller.prepare()
        waiting = asyncio.create_task(p.ask("/a"))
        await p.deploy(spec(says="two"))
        await p.controller.start()
        assert await waiting in ("one", "two")
        assert await p.ask("/a") == "two"
        history = await p.controller.history("a")
        assert [v["state"] for v in history] == ["live", "retired"]

    run(tmp_path, before)
    run(tmp_path, after)


def test_a_deploy_that_fails_before_the_old_version_is_back_leaves_it(tmp_path):
    async def before(p):
        await p.deploy(spec(says="one"))

    async def after(p):
        await p.controller.prepare()
        waiting = asyncio.create_task(p.ask("/a"))
        [done] = await p.deploy(spec(breaks="x"))
        assert done.error
        await p.controller.start()
        assert await waiting == "one"
        assert p.controller.api("a").live.version == 1

    run(tmp_path, before)
    run(tmp_path, after)
