"""Requests answered together: order, size, waiting, bad items alone, late ones refused."""

from __future__ import annotations

import asyncio
import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.deploy.errors import HttpError
from descent.deploy.service.batching import Batcher
from descent.deploy.service.bisecting import apart, check_count
from descent.deploy.service.costs import Line
from tests.deploy.service.asking_apps import Log, error_of, post, served, told
from tests.deploy.service.test_streams import Wire, eventually


class Doubler:
    """Remembers its batches; 13 is a bad number."""

    def __init__(self):
        self.batches: list[list[int]] = []

    def predict(self, xs: list[int]) -> list[int]:
        self.batches.append(list(xs))
        if 13 in xs:
            raise ValueError("13 brings bad luck")
        return [2 * x for x in xs]


class DoublerHere(Doubler):
    async def predict(self, xs: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return Doubler.predict(self, xs)


def batching(size=8, wait_ms=20.0, latency_ms=None):
    return {"max_batch_size": size, "max_wait_ms": wait_ms, "max_latency_ms": latency_ms}


def run(scenario):
    return asyncio.run(scenario)


@pytest.mark.parametrize("make", [Doubler, DoublerHere])
def test_requests_that_come_together_are_one_batch_in_order(make):
    async def scenario():
        instance = make()
        async with served(instance, batching=batching(size=8, wait_ms=1000)) as app:
            answers = await asyncio.gather(*(told(app, i) for i in range(8)))
            assert answers == [2 * i for i in range(8)]
            assert instance.batches == [list(range(8))]
            assert app.counts.batch_size.total == 8
            assert sum(app.counts.batch_size.counts) == 1

    run(scenario())


@pytest.mark.parametrize("make", [Doubler, DoublerHere])
def test_a_bad_item_fails_alone(make):
    async def scenario():
        log = Log()
        async with served(make(), log, batching=batching(wait_ms=1000)) as app:
            answers = await asyncio.gather(*(post(app, i) for i in [1, 2, 13, 3, 4, 13, 5, 6]))
            assert [a.status for a in answers] == [200, 200, 500, 200, 200, 500, 200, 200]
            assert json.loads(answers[-1].body) == 12
        assert [line for line, _ in log] == ["ValueError: 13 brings bad luck"] * 2

    run(scenario())


def test_predict_may_return_an_exception_for_one():
    class Choosy:
        def predict(self, xs):
            bad = HttpError(422, "odd", "Odd numbers are not taken.")
            return [x if x % 2 == 0 else bad for x in xs]

    async def scenario():
        async with served(Choosy(), batching=batching(size=4, wait_ms=1000)) as app:
            answers = await asyncio.gather(*(post(app, i) for i in range(4)))
            assert [a.status for a in answers] == [200, 422, 200, 422]
            assert error_of(answers[1])["code"] == "odd"

    run(scenario())


def test_decode_batch_unbatch_and_encode():
    class Arrays:
        def decode(self, body):
            return np.float64(body["x"])

        def batch(self, values):
            return np.stack(values)

        def predict(self, x):
            assert x.shape == (4,)
            return x * 10

        def unbatch(self, result):
            return list(result)

        def encode(self, result):
            return {"y": float(result)}

    async def scenario():
        async with served(Arrays(), batching=batching(size=5, wait_ms=1000)) as app:
            bodies = [{"x": 1}, {"x": 2}, {"z": 0}, {"x": 3}, {"x": 4}]
            answers = await asyncio.gather(*(post(app, body) for body in bodies))
            assert [a.status for a in answers] == [200, 200, 400, 200, 200]
            assert error_of(answers[2])["field"] == "x"
            assert json.loads(answers[4].body) == {"y": 40.0}

    run(scenario())


def test_the_wrong_number_of_results_is_said():
    def forgets(xs):
        return xs[1:]

    async def scenario():
        log = Log()
        async with served(forgets, log, batching=batching(size=2, wait_ms=1000)) as app:
            answers = await asyncio.gather(post(app, 1), post(app, 2))
            assert [a.status for a in answers] == [500, 500]
        assert "returned 1 results for a batch of 2" in log[0][0]

    run(scenario())


def test_one_alone_is_answered_after_the_wait():
    async def scenario():
        async with served(Doubler(), batching=batching(wait_ms=5)) as app:
            for i in range(5):
                assert await told(app, i) == 2 * i

    run(scenario())


def test_who_comes_while_a_batch_runs_is_in_the_next_one():
    gate = threading.Event()

    class Held:
        def __init__(self):
            self.batches = []

        def predict(self, xs):
            self.batches.append(list(xs))
            gate.wait(20)
            return xs

    async def scenario():
        held = Held()
        async with served(held, batching=batching(size=4, wait_ms=0)) as app:
            tasks = [asyncio.create_task(told(app, 0))]
            await eventually(lambda: held.batches)
            tasks += [asyncio.create_task(told(app, i)) for i in range(1, 7)]
            await asyncio.sleep(0.01)
            gate.set()
            assert await asyncio.gather(*tasks) == list(range(7))
            assert held.batches == [[0], [1, 2, 3, 4], [5, 6]]

    run(scenario())


def test_a_request_that_would_be_late_is_refused_at_once():
    gate = threading.Event()
    held = []

    def slow(xs):
        held.append(xs)
        gate.wait(20)
        return xs

    async def scenario():
        async with served(slow, max_concurrency=100, batching=batching(1, 0, 250)) as app:
            batcher = app._methods[""]["POST"].batcher
            for _ in range(5):
                batcher.cost.note(1, 0.1)  # a batch takes 100 ms
            first = asyncio.create_task(post(app, 0))
            await eventually(lambda: held)
            second = asyncio.create_task(post(app, 1))
            await asyncio.sleep(0)
            refused = [await asyncio.wait_for(post(app, i), 10) for i in range(2, 5)]
            assert [a.status for a in refused] == [503] * 3
            assert error_of(refused[0])["code"] == "overloaded"
            assert int(refused[0].headers["retry-after"]) >= 1
            gate.set()
            assert [(await first).status, (await second).status] == [200, 200]

    run(scenario())


def test_an_idle_service_takes_a_request_whatever_it_costs():
    async def scenario():
        async with served(Doubler(), batching=batching(4, 0, 10)) as app:
            batcher = app._methods[""]["POST"].batcher
            batcher.cost.note(1, 5.0)
            assert await told(app, 4) == 8

    run(scenario())


def test_an_item_past_its_deadline_gives_up_its_place_and_the_others_go_on():
    gate = threading.Event()

    def held(xs):
        gate.wait(20)
        return xs

    async def scenario():
        async with served(held, batching=batching(size=2, wait_ms=1000)) as app:
            loop = asyncio.get_running_loop()
            late, patient = Wire(b"1"), Wire(b"2")
            tasks = [
                asyncio.create_task(late.ask(app, loop.time() + 0.3)),
                asyncio.create_task(patient.ask(app)),
            ]
            await eventually(lambda: late.messages)
            assert late.messages[0]["status"] == 504
            assert app.in_flight == 2  # its batch still runs
            gate.set()
            await asyncio.gather(*tasks)
            assert patient.messages[0]["status"] == 200

    run(scenario())


def test_a_batch_nobody_waits_for_is_stopped():
    seen = []

    def spins(xs):
        try:
            seen.append(xs)
            while True:
                pass
        finally:
            seen.append("ended")

    async def scenario():
        async with served(spins, batching=batching(size=2, wait_ms=1000)) as app:
            wires = [Wire(b"1"), Wire(b"2")]
            tasks = [asyncio.create_task(wire.ask(app)) for wire in wires]
            await eventually(lambda: seen)
            for wire in wires:
                wire.gone.set()
            await asyncio.gather(*tasks)
            assert [wire.messages[0]["status"] for wire in wires] == [499, 499]
            assert seen == [[1, 2], "ended"]

    run(scenario())


def test_an_item_cancelled_while_it_waits_is_not_computed():
    async def scenario():
        instance = Doubler()
        async with served(instance, batching=batching(size=3, wait_ms=5000)) as app:
            late = await post(app, 7, timeout_s=0.02)
            assert late.status == 504
            assert await asyncio.gather(*(told(app, i) for i in range(3))) == [0, 2, 4]
            assert instance.batches == [[0, 1, 2]]

    run(scenario())


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        (type("Streams", (), {"predict": lambda self, xs: (yield 1)})(), "streams"),
        (type("Two", (), {"predict": lambda self, a, b: a})(), "several parameters"),
    ],
)
def test_what_cannot_be_batched_is_refused_when_it_is_made(instance, said):
    from descent.deploy.service.app import ServiceApp
    from tests.deploy.service.asking_apps import spec_for

    with pytest.raises(TypeError, match=said):
        ServiceApp(instance, spec_for(batching=batching()), Log())


@settings(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    size=st.integers(1, 7),
    wait_ms=st.sampled_from([0.0, 1.0, 3.0]),
    bad=st.sets(st.integers(0, 39)),
    cancelled=st.sets(st.integers(0, 39)),
)
def test_everyone_gets_their_own_answer(arrivals, size, wait_ms, bad, cancelled):
    """Whatever the order of arrivals, batches, failures and cancellations."""
    batches = []

    async def answer(values):
        batches.append(values)
        await asyncio.sleep(0)
        return [ValueError(str(v)) if v in bad else v * 7 for v in values]

    async def scenario():
        batcher = Batcher(answer, max_batch_size=size, max_wait_ms=wait_ms)
        tasks = []

        class Request:
            work = None

        for i, pause in enumerate(arrivals):
            tasks.append(asyncio.create_task(batcher.submit(i, Request())))
            for _ in range(pause):
                await asyncio.sleep(0)
            if i in cancelled:
                tasks[-1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for i, result in enumerate(results):
            if isinstance(result, asyncio.CancelledError):
                assert i in cancelled
            elif i in bad:
                assert (type(result), str(result)) == (ValueError, str(i))
            else:
                assert result == i * 7

    asyncio.run(scenario())
    seen = [value for batch in batches for value in batch]
    assert seen == sorted(set(seen))  # first come, first served; nobody twice
    assert all(len(batch) <= size for batch in batches)


@given(st.lists(st.booleans(), max_size=50))
def test_halves_find_exactly_the_bad_ones(bad):
    steps, got, calls = apart(list(range(len(bad)))), None, 0
    while True:
        try:
            part = steps.send(got)
        except StopIteration as end:
            outcomes = end.value
            break
        calls += 1
        got = RuntimeError() if any(bad[i] for i in part) else [i * 2 for i in part]
    for i, outcome in enumerate(outcomes):
        assert isinstance(outcome, RuntimeError) if bad[i] else outcome == 2 * i
    k = sum(bad)
    assert calls <= 1 + 2 * k * max(1, len(bad)).bit_length()


def test_counts_are_checked():
    assert check_count(np.arange(3), 3) == [0, 1, 2]
    with pytest.raises(TypeError, match="not a int"):
        check_count(3, 3)


@given(
    each=st.floats(0, 1),
    fixed=st.floats(0, 1),
    sizes=st.lists(st.integers(1, 100), min_size=2, max_size=30),
)
def test_the_cost_line_is_recovered(each, fixed, sizes):
    line = Line()
    for n in sizes:
        line.note(n, each * n + fixed)
    typical = each * sum(sizes) / len(sizes) + fixed
    for n in set(sizes):
        assert line.seconds(n) == pytest.approx(each * n + fixed, abs=0.4 * typical + 1e-9)
    assert all(part >= 0 for part in line.fit())


def test_batches_of_many_sizes_tell_what_is_fixed_and_what_is_not():
    line = Line()
    for n in (1, 8, 2, 32, 4, 16) * 5:
        line.note(n, 0.002 * n + 0.01)
    each, fixed = line.fit()
    assert each == pytest.approx(0.002, rel=0.03)
    assert fixed == pytest.approx(0.01, rel=0.1)


def test_batches_of_one_size_are_not_divided_by_chance():
    line = Line()
    for i in range(40):
        line.note(16 + i % 2, 0.01 + 0.002 * (i % 2))  # noise that looks like 2 ms an item
    assert line.fit()[1] > 0.005


def test_nothing_noted_costs_nothing():
    assert Line().seconds(5) == 0.0
    assert not Line().known
