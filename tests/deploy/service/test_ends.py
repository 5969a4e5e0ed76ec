"""Requests that end early: their deadline is over, or their client has gone. The work ends too."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from descent.deploy.service import Stopped
from tests.deploy.service.asking_apps import Log, error_of, post, served, told
from tests.deploy.service.test_streams import Wire, eventually


def run(scenario):
    return asyncio.run(scenario)


def endless():
    """What never ends by itself, as `def` and as `async def`, and what has become of it."""
    seen = []

    def spins(x):
        try:
            seen.append("begun")
            while True:
                pass
        finally:
            seen.append("ended")

    async def sleeps(x):
        try:
            seen.append("begun")
            await asyncio.sleep(1000)
        finally:
            seen.append("ended")

    return spins, sleeps, seen


def test_python_code_in_a_thread_is_stopped():
    ended = []

    def spins(x):
        try:
            while True:
                pass
        except Stopped:
            ended.append(True)
            raise

    async def scenario():
        async with served(spins, max_concurrency=1) as app:
            answer = await post(app, 1, timeout_s=0.2)
            assert (answer.status, error_of(answer)["code"]) == (504, "timed_out")
            assert ended == [True]

    run(scenario())


def test_a_service_that_must_not_be_stopped_is_waited_for():
    class Delicate:
        stoppable = False

        def predict(self, x):
            self.state = "half"
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                pass
            self.state = "whole"

    async def scenario():
        delicate = Delicate()
        async with served(delicate) as app:
            assert (await post(app, 1, timeout_s=0.2)).status == 504
            assert delicate.state == "whole"

    run(scenario())


def test_a_coroutine_is_cancelled():
    _, sleeps, seen = endless()

    async def scenario():
        async with served(sleeps) as app:
            answer = await post(app, 1, timeout_s=0.2)
            assert (answer.status, seen) == (504, ["begun", "ended"])
            assert asyncio.current_task().cancelling() == 0

    run(scenario())


def test_the_answer_comes_in_time_and_the_place_stays_taken():
    """BentoML#5642: code that cannot be stopped goes on; until it ends, the request isn't over."""
    gate = threading.Event()

    def in_c_code(x):
        gate.wait(20)

    async def scenario():
        async with served(in_c_code) as app:
            wire = Wire(b"1")
            loop = asyncio.get_running_loop()
            task = asyncio.create_task(wire.ask(app, loop.time() + 0.2))
            await eventually(lambda: wire.messages)
            assert wire.messages[0]["status"] == 504
            await asyncio.sleep(0.02)
            assert not task.done()
            assert app.in_flight == 1
            gate.set()
            await task
            assert app.in_flight == 0

    run(scenario())


@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_client_that_leaves_ends_the_work(kind):
    spins, sleeps, seen = endless()

    async def scenario():
        async with served(spins if kind == "def" else sleeps) as app:
            wire = Wire(b"1")
            task = asyncio.create_task(wire.ask(app))
            await eventually(lambda: seen)
            wire.gone.set()
            await asyncio.wait_for(task, 20)
            assert seen == ["begun", "ended"]

    run(scenario())


def test_cancelling_from_outside_stops_the_work_and_stays_a_cancelling():
    spins, _, seen = endless()

    async def scenario():
        async with served(spins) as app:
            task = asyncio.create_task(post(app, 1))
            await eventually(lambda: seen)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert seen == ["begun", "ended"]

    run(scenario())


@pytest.mark.parametrize("kind", ["def", "async", "mounted"])
def test_requests_under_way_when_the_version_ends_are_told_to_try_again(kind):
    spins, sleeps, seen = endless()

    async def application(scope, receive, send):
        if scope["type"] == "http":
            await sleeps(None)

    async def scenario():
        async with served({"def": spins, "async": sleeps, "mounted": application}[kind]) as app:
            task = asyncio.create_task(post(app, 1))
            await eventually(lambda: seen)
            await app.close(0.02)
            answer = await task
            assert (answer.status, error_of(answer)["code"]) == (503, "stopped")
            assert answer.headers["retry-after"] == "1"
            assert seen == ["begun", "ended"]

    run(scenario())


def test_a_version_that_ends_waits_for_requests_under_way():
    async def slowly(x):
        await asyncio.sleep(0.05)
        return x

    async def scenario():
        async with served(slowly) as app:
            task = asyncio.create_task(told(app, 7))
            await eventually(lambda: app.in_flight)
            await app.close(20)
            assert await task == 7

    run(scenario())


def test_cancelling_while_the_answer_is_sent_is_no_failure():
    async def scenario():
        log = Log()
        async with served(lambda x: x, log) as app:
            wire = Wire(b"1")
            wire.open.clear()
            task = asyncio.create_task(wire.ask(app))
            await eventually(lambda: wire.messages)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(wire.messages) == 1
        assert log == []

    run(scenario())


def test_a_request_within_its_deadline_is_answered():
    async def scenario():
        async with served(lambda x: x) as app:
            for i in range(50):
                assert await told(app, i, timeout_s=20) == i
            assert asyncio.current_task().cancelling() == 0

    run(scenario())


def test_deadlines_at_random_moments_leave_nothing_behind():
    def short(x):
        for _ in range(2000):
            pass
        return x

    async def scenario():
        async with served(short) as app:
            statuses = set()
            for i in range(300):
                answer = await post(app, i, timeout_s=(i % 30) * 2e-5)
                statuses.add(answer.status)
            assert statuses <= {200, 504}
            assert 504 in statuses
            assert await told(app, 1, timeout_s=20) == 1

    run(scenario())
