"""A service behind the gateway: bounds hold whatever its code does, updates lose nothing."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time

from descent.deploy.asking import ask
from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.pool import Context
from tests.deploy.service.asking_apps import Log, served
from tests.deploy.service.test_streams import Wire, eventually


async def post(gateway, value=1, path=""):
    answer = await ask(gateway, f"/thing{path}", json.dumps(value).encode(), context=Context(""))
    return answer.status, json.loads(answer.body)


def gateway_to(app, version=1, **limits):
    gateway = Gateway()
    gateway.set_route(
        Route("thing", "RealtimeAPI", "/thing", Served("thing", version, app, Limits(**limits)))
    )
    return gateway


def test_code_that_outlives_its_deadline_keeps_its_place():
    """BentoML#5642: never more than max_concurrency run, though the clients have had their 504."""
    gate, lock, counts = threading.Event(), threading.Lock(), [0, 0]

    def in_c_code(x):
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        try:
            gate.wait(20)
        finally:
            with lock:
                counts[0] -= 1
        return x

    async def scenario():
        async with served(in_c_code, max_concurrency=2) as app:
            gateway = gateway_to(app, max_concurrency=2, max_queue_length=100, timeout_s=0.3)
            wires = [Wire(b"1") for _ in range(8)]
            tasks = [asyncio.create_task(wire.ask(gateway, path="/thing")) for wire in wires]
            await eventually(lambda: all(wire.messages for wire in wires))
            assert {wire.messages[0]["status"] for wire in wires} == {504}
            place = gateway.routes.by_name["thing"].served
            assert (place.in_flight, counts) == (2, [2, 2])
            gate.set()
            await asyncio.gather(*tasks)
            assert place.in_flight == 0
            assert await post(gateway, 7) == (200, 7)
            assert counts[1] == 2

    asyncio.run(scenario())


def test_exceptions_are_found_in_the_log_by_the_answers_id():
    def fails(x):
        raise RuntimeError("secret")

    async def scenario():
        log = Log()
        async with served(fails, log) as app:
            status, said = await post(gateway_to(app))
            assert status == 500
            assert "secret" not in json.dumps(said)
            assert log[0][1]["request_id"] == said["error"]["request_id"]

    asyncio.run(scenario())


def test_a_storm_of_everything_keeps_the_bound_and_ends_clean():
    """Good, bad, slow, late and cancelled requests at random; then all is as before."""
    running, most = [0], [0]

    def mixed(x: int) -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        try:
            if x % 7 == 0:
                raise ValueError("seven")
            if x % 5 == 0:
                while True:
                    pass
            if x % 3 == 0:
                time.sleep(0.002)
            return x
        finally:
            running[0] -= 1

    async def scenario():
        rng = random.Random(1)
        async with served(mixed, max_concurrency=3) as app:
            gateway = gateway_to(app, max_concurrency=3, max_queue_length=1000, timeout_s=0.15)
            tasks = [asyncio.create_task(post(gateway, x)) for x in range(1, 120)]
            for task in rng.sample(tasks, 20):
                await asyncio.sleep(0.001)
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            for x, answer in enumerate(answers, 1):
                if isinstance(answer, BaseException):
                    assert isinstance(answer, asyncio.CancelledError)
                elif answer[0] == 200:
                    assert answer[1] == x
                    assert x % 7
                    assert x % 5
                else:
                    assert answer[0] == 504 or (answer[0] == 500 and x % 7 == 0)
            place = gateway.routes.by_name["thing"].served
            await eventually(lambda: place.in_flight == 0)
            assert most[0] <= 3
            assert running[0] == 0
            assert await post(gateway, 1) == (200, 1)

    asyncio.run(scenario())


def test_a_switch_of_versions_under_load_loses_nothing():
    async def scenario():
        async with served(lambda x: [1, x]) as old, served(lambda x: [2, x]) as new:
            gateway = gateway_to(old, max_concurrency=8, max_queue_length=1000)
            route = gateway.routes.by_name["thing"]
            tasks = [asyncio.create_task(post(gateway, x)) for x in range(300)]
            await asyncio.sleep(0.002)
            before = route.served
            route.served = Served("thing", 2, new, Limits(max_concurrency=8, max_queue_length=1000))
            assert await before.drained(20)
            tasks += [asyncio.create_task(post(gateway, x)) for x in range(300, 600)]
            answers = await asyncio.gather(*tasks)
            assert [status for status, _ in answers] == [200] * 600
            assert [said[1] for _, said in answers] == list(range(600))
            assert [said[0] for _, said in answers[300:]] == [2] * 300

    asyncio.run(scenario())
