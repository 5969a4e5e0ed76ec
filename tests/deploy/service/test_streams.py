"""Streams: framing, the first item at once, back-pressure, errors as the last event, the client's end."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from descent.deploy.pool import Context
from tests.deploy.service.asking_apps import Log, error_of, post, served, told


class Counting:
    def predict(self, n: int) -> Iterator[int]:
        yield from range(n)


class CountingHere:
    async def predict(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i


class Dynamic:
    """Streams only when asked to."""

    def predict(self, n):
        return (i for i in range(n)) if n else "nothing"


def run(scenario):
    return asyncio.run(scenario)


class Wire:
    """An ASGI client whose `send` can be held up and which can go away."""

    def __init__(self, body: bytes) -> None:
        self.messages: list = []
        self.open = asyncio.Event()
        self.open.set()
        self.gone = asyncio.Event()
        self._body = body
        self._given = False

    async def receive(self):
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.messages.append(message)
        await self.open.wait()

    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def ask(self, app, deadline=None, path="/"):
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
        scope["descent"] = Context("request-1", deadline=deadline)
        await app(scope, self.receive, self.send)


async def eventually(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "instance", [Counting(), CountingHere(), Dynamic()], ids=["def", "async", "dynamic"]
)
def test_json_values_are_events(instance):
    async def scenario():
        async with served(instance) as app:
            answer = await post(app, 3)
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
            lines = await post(app, 3, headers={"accept": "application/x-ndjson"})
            assert lines.body == b"0\n1\n2\n"
            assert await told(app, 3, headers={"accept": "application/json"}) == [0, 1, 2]

    run(scenario())


def test_a_service_may_stream_or_not():
    async def scenario():
        async with served(Dynamic()) as app:
            assert await told(app, 0) == "nothing"

    run(scenario())


def test_an_empty_stream_is_an_empty_answer():
    async def scenario():
        async with served(Counting()) as app:
            answer = await post(app, 0)
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["content-type"] == "text/event-stream"

    run(scenario())


def test_bytes_are_chunks():
    def chunks(n: int) -> Iterator[bytes]:
        for i in range(n):
            yield bytes([i])

    async def scenario():
        async with served(chunks) as app:
            answer = await post(app, 4)
            assert answer.body == b"\0\1\2\3"
            assert answer.headers["content-type"] == "application/octet-stream"

    run(scenario())


def test_each_item_is_encoded():
    class Encoding:
        def predict(self, n):
            yield from range(n)

        def encode(self, item):
            return {"item": item}

    class EncodingHere:
        async def predict(self, n):
            for i in range(n):
                yield i

        async def encode(self, item):
            return {"item": item}

    async def scenario():
        for instance in (Encoding(), EncodingHere()):
            async with served(instance) as app:
                assert (await post(app, 2)).body == b'data: {"item":0}\n\ndata: {"item":1}\n\n'

    run(scenario())


def test_the_first_item_is_sent_before_the_second_is_made():
    gate = threading.Event()

    def two(x):
        yield "first"
        assert gate.wait(20)
        yield "second"

    async def scenario():
        async with served(two) as app:
            wire = Wire(b"1")
            task = asyncio.create_task(wire.ask(app))
            await eventually(lambda: len(wire.messages) == 2)
            assert wire.body() == b'data: "first"\n\n'
            gate.set()
            await task
            assert wire.body() == b'data: "first"\n\ndata: "second"\n\n'

    run(scenario())


def test_a_failure_before_the_first_item_has_a_status():
    def fails(x):
        raise ValueError("bad from the start")
        yield

    async def scenario():
        async with served(fails) as app:
            assert (await post(app, 1)).status == 500

    run(scenario())


def make_failing(kind):
    def fails(x):
        yield 1
        raise ValueError("halfway")

    async def fails_here(x):
        yield 1
        raise ValueError("halfway")

    return fails if kind == "def" else fails_here


@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_failure_later_is_the_last_event(kind):
    async def scenario():
        log = Log()
        async with served(make_failing(kind), log) as app:
            answer = await post(app, 1)
        assert answer.status == 200
        first, last = answer.body.decode().split("\n\n")[:2]
        assert first == "data: 1"
        event, data = last.split("\n")
        assert event == "event: error"
        assert json.loads(data.removeprefix("data: "))["error"]["code"] == "internal_error"
        assert log[0][0] == "ValueError: halfway"
        assert log[0][1]["request_id"] == "request-1"

    run(scenario())


def test_a_failing_stream_of_bytes_is_cut_off():
    def fails(x) -> Iterator[bytes]:
        yield b"one"
        raise ValueError("halfway")

    async def scenario():
        async with served(fails) as app:
            wire = Wire(b"1")
            with pytest.raises(Exception, match="failed"):
                await wire.ask(app)
            assert wire.messages[-1]["more_body"] is True  # never ended

    run(scenario())


def test_a_slow_reader_slows_the_generator():
    made = []

    def many(x):
        for i in range(100_000):
            made.append(i)
            yield i

    async def scenario():
        async with served(many) as app:
            wire = Wire(b"1")
            wire.open.clear()
            task = asyncio.create_task(wire.ask(app))
            await eventually(lambda: len(made) >= 60)
            await asyncio.sleep(0.05)
            assert len(made) < 200
            wire.open.set()
            await task
            assert wire.body().count(b"data: ") == 100_000

    run(scenario())


def endless(kind, ended):
    def numbers(x):
        try:
            while True:
                yield 1
        finally:
            ended.append(True)

    async def numbers_here(x):
        try:
            while True:
                await asyncio.sleep(0)
                yield 1
        finally:
            ended.append(True)

    return numbers if kind == "def" else numbers_here


@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_client_that_leaves_closes_the_generator(kind):
    async def scenario():
        ended: list = []
        async with served(endless(kind, ended)) as app:
            wire = Wire(b"1")
            task = asyncio.create_task(wire.ask(app))
            await eventually(lambda: len(wire.messages) > 3)
            wire.gone.set()
            await asyncio.wait_for(task, 20)
            assert ended == [True]

    run(scenario())


@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_deadline_ends_a_stream_with_an_error(kind):
    async def scenario():
        ended: list = []
        async with served(endless(kind, ended)) as app:
            answer = await post(app, 1, timeout_s=0.5)
            assert answer.body.startswith(b"data: 1\n\n")
            last = answer.body.decode().split("\n\n")[-2]
            assert last.startswith("event: error")
            assert '"timed_out"' in last
            assert ended == [True]

    run(scenario())


def test_a_generator_stuck_between_items_is_stopped():
    ended = []

    def stuck(x):
        yield 1
        try:
            while True:
                pass
        finally:
            ended.append(True)

    async def scenario():
        async with served(stuck) as app:
            answer = await post(app, 1, timeout_s=0.3)
            assert b'"timed_out"' in answer.body
            assert ended == [True]  # the request counted until here

    run(scenario())


def test_a_deadline_before_the_first_item_is_504():
    def slow(x):
        while True:
            pass
        yield

    async def scenario():
        async with served(slow) as app:
            answer = await post(app, 1, timeout_s=0.05)
            assert (answer.status, error_of(answer)["code"]) == (504, "timed_out")

    run(scenario())
