"""Requests in, answers out: decode, predict, encode, in threads and in the event loop."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import asynccontextmanager

import fastapi
import pytest
from starlette.responses import PlainTextResponse

from descent.deploy.errors import HttpError
from descent.deploy.service import Service, current_context, current_request, endpoint
from descent.deploy.service import app as service_app
from tests.deploy.service.asking_apps import Log, error_of, post, served, spec_for, told


class Doubler(Service):
    def predict(self, x: float) -> float:
        return 2 * x


class Waiter:
    async def predict(self, x: float) -> float:
        await asyncio.sleep(0)
        return 2 * x


class Steps:
    """Every step of its own kind."""

    async def decode(self, body: dict[str, float]) -> float:
        return body["x"]

    def predict(self, x):
        return x + 1

    async def encode(self, result) -> dict[str, float]:
        return {"y": result}


def plain_steps():
    class Plain:
        def decode(self, body):
            return body["x"]

        def predict(self, x):
            return x + 1

        def encode(self, result):
            return {"y": result}

    return Plain()


def run(scenario):
    return asyncio.run(scenario)


@pytest.mark.parametrize(
    "instance", [Doubler(), Waiter(), lambda x: 2 * x], ids=["def", "async", "function"]
)
def test_a_value_in_and_its_answer_out(instance):
    async def scenario():
        async with served(instance) as app:
            assert await told(app, 3.0) == 6.0
            assert await told(app, 3.0, "/") == 6.0
            answer = await post(app, 3.0)
            assert answer.headers == {"content-type": "application/json", "content-length": "3"}

    run(scenario())


@pytest.mark.parametrize("make", [Steps, plain_steps])
def test_decode_predict_and_encode_follow_one_another(make):
    async def scenario():
        async with served(make()) as app:
            assert await told(app, {"x": 1.5}) == {"y": 2.5}

    run(scenario())


def test_parameters_are_an_object():
    def mix(a: int, b: int = 10) -> int:
        return a + b

    async def later(a: int, b: int = 10) -> int:
        return a + b

    async def scenario():
        for function in (mix, later):
            async with served(function) as app:
                assert await told(app, {"a": 1}) == 11
                assert await told(app, {"a": 1, "b": 2}) == 3
                answer = await post(app, {"b": 2})
                assert answer.status == 400
                assert error_of(answer)["field"] == "a"

    run(scenario())


def test_input_of_the_wrong_type_is_the_clients_mistake():
    async def scenario():
        async with served(Doubler()) as app:
            answer = await post(app, "three")
            assert answer.status == 400
            assert error_of(answer)["field"] == "body"
            assert error_of(answer)["request_id"] == "request-1"
            answer = await post(app, b"{")
            assert (answer.status, error_of(answer)["code"]) == (400, "invalid_json")

    run(scenario())


@pytest.mark.parametrize("make", [Steps, plain_steps])
def test_what_decode_refuses_is_the_clients_mistake_and_names_the_field(make):
    async def scenario():
        async with served(make()) as app:
            answer = await post(app, {"z": 1.0})
            assert answer.status == 400
            assert error_of(answer) == {
                "code": "invalid_input",
                "message": "The body lacks 'x'.",
                "field": "x",
                "request_id": "request-1",
            }

    run(scenario())


def test_an_exception_of_predict_is_in_the_log_and_not_in_the_answer():
    class Broken:
        def predict(self, x):
            secret = "hunter2"
            raise RuntimeError(f"no {secret}")

    async def scenario():
        log = Log()
        async with served(Broken(), log) as app:
            answer = await post(app, 1)
        assert answer.status == 500
        assert b"hunter2" not in answer.body
        assert error_of(answer)["request_id"] == "request-1"
        [(line, fields)] = log
        assert line == "RuntimeError: no hunter2"
        assert fields["request_id"] == "request-1"
        assert "raise RuntimeError" in fields["traceback"]

    run(scenario())


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), asyncio.CancelledError()])
def test_exceptions_that_would_end_the_server_end_the_request(error):
    def stops(x):
        raise error

    async def stops_here(x):
        raise error

    async def scenario():
        for function in (stops, stops_here):
            async with served(function) as app:
                assert (await post(app, 1)).status == 500
                assert (await post(app, 1)).status == 500

    run(scenario())


def test_a_service_may_choose_its_status_and_its_response():
    def choose(x):
        if x == 0:
            raise HttpError(422, "zero", "Zero is not welcome.", field="x")
        return PlainTextResponse("made by hand", status_code=201, headers={"x-made": "yes"})

    async def scenario():
        async with served(choose) as app:
            answer = await post(app, 0)
            assert (answer.status, error_of(answer)["code"]) == (422, "zero")
            answer = await post(app, 1)
            assert (answer.status, answer.body) == (201, b"made by hand")
            assert answer.headers["x-made"] == "yes"

    run(scenario())


def test_bytes_travel_as_they_are():
    def reverse(data: bytes) -> bytes:
        return data[::-1]

    async def scenario():
        async with served(reverse) as app:
            answer = await post(app, b"\x00\x01\xff")
            assert answer.body == b"\xff\x01\x00"
            assert answer.headers["content-type"] == "application/octet-stream"
            big = bytes(range(256)) * 1000  # decoded in a thread
            assert (await post(app, big)).body == big[::-1]

    run(scenario())


def test_paths_methods_and_what_is_said_about_others():
    class Sorter:
        def predict(self, xs: list[int]) -> list[int]:
            return sorted(xs)

        @endpoint("/top")
        async def top(self, xs: list[int]) -> int:
            return max(xs)

        @endpoint("/names", methods=["GET"])
        def names(self) -> list[str]:
            return ["a", "b"]

        def on_job_complete(self):
            self.completed = True

    async def scenario():
        sorter = Sorter()
        async with served(sorter) as app:
            assert await told(app, [3, 1, 2]) == [1, 2, 3]
            assert await told(app, [3, 1, 2], "/top") == 3
            assert await told(app, path="/names", method="GET") == ["a", "b"]
            assert (await post(app, path="/on-job-complete")).status == 200
            assert sorter.completed
            assert [(e["path"], e["methods"]) for e in app.signature["endpoints"]] == [
                ("/names", ["GET"]),
                ("/top", ["POST"]),
            ]
            answer = await post(app, [1], "/bottom")
            assert answer.status == 404
            assert "/top" in error_of(answer)["message"]
            answer = await post(app, [1], "/names")
            assert answer.status == 405
            assert answer.headers["allow"] == "GET"

    run(scenario())


def test_a_whole_application_is_mounted():
    began = []

    async def lifespan(app):
        began.append("start")
        yield {"greeting": "hello"}
        began.append("stop")

    application = fastapi.FastAPI(lifespan=asynccontextmanager(lifespan))

    @application.post("/greet/{name}")
    async def greet(name: str, request: fastapi.Request):
        return f"{request.state.greeting} {name}"

    class Holder:
        asgi = application

    async def scenario():
        for instance in (Holder(), application):
            began.clear()
            async with served(instance) as app:
                assert await told(app, path="/greet/you") == "hello you"
                assert "/greet/{name}" in app.signature["paths"]
            assert began == ["start", "stop"]

    run(scenario())


def test_the_request_is_at_hand_in_a_thread_too():
    def who(x):
        return [current_context().request_id, current_request().headers["x-color"]]

    async def scenario():
        async with served(who) as app:
            assert await told(app, 1, headers={"x-color": "red"}) == ["request-1", "red"]
        assert current_context() is None

    run(scenario())


def test_a_body_over_the_limit_is_refused():
    async def scenario():
        async with served(lambda x: x, max_body_bytes=100) as app:
            answer = await post(app, "x" * 200)
            assert (answer.status, error_of(answer)["code"]) == (413, "body_too_large")

    run(scenario())


def test_a_service_without_predict_is_refused_when_it_is_made():
    from descent.deploy.service.app import ServiceApp

    with pytest.raises(TypeError, match="predict"):
        ServiceApp(object(), spec_for(), Log())


def test_lifespan_of_a_server_starts_and_ends_it():
    async def scenario():
        from descent.deploy.service.app import ServiceApp

        app = ServiceApp(Doubler(), spec_for(), Log())
        sent = []
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive():
            return next(messages)

        async def send(message):
            sent.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    run(scenario())


@pytest.mark.parametrize("way", ["fails", "hangs"])
def test_an_application_that_does_not_end_in_good_order_is_ended_and_said_so(monkeypatch, way):
    monkeypatch.setattr(service_app, "_LAST_S", 0.05)

    async def application(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if way == "hangs":
            await asyncio.sleep(1000)
        await send({"type": "lifespan.shutdown.failed", "message": "no such table"})

    async def scenario():
        log = Log()
        app = service_app.ServiceApp(application, spec_for(), log)
        await app.start()
        await app.close(0.0)
        why = "no such table" if way == "fails" else "it takes too long"
        assert log.text() == f"the application's shutdown failed: {why}"

    run(scenario())


def test_without_a_gateway_the_id_and_the_time_limit_are_its_own():
    async def scenario():
        async with served(lambda x: current_context().request_id, timeout_s=30) as app:
            sent = []

            async def receive():
                return {"type": "http.request", "body": b"1", "more_body": False}

            async def send(message):
                sent.append(message)

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/",
                "headers": [(b"x-request-id", b"mine")],
            }
            await app(scope, receive, send)
            assert json.loads(sent[1]["body"]) == "mine"

    run(scenario())


def streams(x):
    yield from range(3)


async def streams_here(x):
    for i in range(3):
        yield i


@pytest.mark.parametrize(
    ("instance", "fields"),
    [
        (Doubler(), {}),
        (Waiter(), {}),
        (lambda xs: xs, {"batching": {"max_batch_size": 4, "max_wait_ms": 0}}),
        (streams, {}),
        (streams_here, {}),
    ],
    ids=["def", "async", "batched", "stream", "async stream"],
)
def test_a_request_leaves_nothing_for_the_collector(instance, fields):
    """Cycles would keep every body until a collection, and make collections many."""

    async def scenario():
        async with served(instance, **fields) as app:
            for _ in range(20):
                await post(app, 1.0)
            gc.collect()
            gc.disable()
            try:
                for _ in range(50):
                    await post(app, 1.0)
                    await asyncio.sleep(0)
                return gc.collect()
            finally:
                gc.enable()

    assert run(scenario()) < 50
