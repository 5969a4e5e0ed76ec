"""Calls in threads: given back, kept apart, stopped, and never more than the limit."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from descent.deploy.service import threads
from descent.deploy.service.calls import Stopped, until_ended
from descent.deploy.service.threads import Workers


def run(scenario):
    return asyncio.run(scenario)


async def eventually(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "did not happen"
        await asyncio.sleep(0.001)


def busy(flag: list) -> None:
    """Python code that never ends by itself."""
    try:
        flag.append("begun")
        while True:
            pass
    finally:
        flag.append("ended")


def test_results_and_exceptions_come_back():
    async def scenario():
        workers = Workers(4)
        assert await workers.run(lambda a, b: a + b, 1, 2) == 3
        with pytest.raises(ZeroDivisionError):
            await workers.run(lambda: 1 // 0)
        many = await asyncio.gather(*(workers.run(lambda i=i: i * i) for i in range(500)))
        assert many == [i * i for i in range(500)]
        assert await workers.close(5) == 0

    run(scenario())


def test_no_more_than_the_limit_run_at_once_and_all_of_it_is_used():
    async def scenario():
        workers, lock, counts = Workers(3), threading.Lock(), [0, 0]

        def work():
            with lock:
                counts[0] += 1
                counts[1] = max(counts)
            time.sleep(0.005)
            with lock:
                counts[0] -= 1

        await asyncio.gather(*(workers.run(work) for _ in range(30)))
        assert counts == [0, 3]
        assert await workers.close(5) == 0

    run(scenario())


def test_a_call_behind_a_cheap_one_that_got_stuck_is_not_held_up():
    async def scenario():
        workers = Workers(2)
        for _ in range(50):
            await workers.run(int)
        gate = threading.Event()
        stuck = workers.submit(gate.wait)
        assert await asyncio.wait_for(workers.run(lambda: "through"), 20) == "through"
        gate.set()
        assert await stuck.future is True
        assert await workers.close(5) == 0

    run(scenario())


def test_context_variables_follow_into_the_thread():
    colour = contextvars.ContextVar("colour")

    async def scenario():
        workers = Workers(1)
        colour.set("red")
        assert await workers.run(colour.get) == "red"
        assert await workers.close(5) == 0

    run(scenario())


def test_cancelling_stops_the_code_before_it_returns():
    async def scenario():
        workers, flag = Workers(1), []
        task = asyncio.create_task(workers.run(busy, flag))
        await eventually(lambda: flag)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert flag == ["begun", "ended"]
        assert await workers.run(lambda: "the thread lives on") == "the thread lives on"
        assert await workers.close(5) == 0

    run(scenario())


def test_a_call_that_has_not_begun_is_dropped():
    async def scenario():
        workers, gate, ran = Workers(1), threading.Event(), []
        first = workers.submit(gate.wait)
        second = asyncio.create_task(workers.run(ran.append, 1))
        await asyncio.sleep(0.01)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.set()
        await first.future
        assert ran == []
        assert await workers.close(5) == 0

    run(scenario())


def test_a_call_that_swallows_it_is_told_again():
    async def scenario():
        workers, seen = Workers(1), []

        def stubborn():
            for _ in range(2):
                try:
                    while True:
                        pass
                except Stopped:
                    seen.append(time.monotonic())
            return "at last"

        call = workers.submit(stubborn)
        await asyncio.sleep(0.01)
        workers.stop(call)
        assert await call.future == "at last"
        assert len(seen) == 2
        assert await workers.close(5) == 0

    run(scenario())


def test_stops_that_come_too_late_hit_nobody_else():
    """Stop calls at random moments: no later call may see a `Stopped` that was not its own."""

    async def scenario():
        workers = Workers(2)
        loop_s = 0.0004

        def short(i):
            end = time.perf_counter() + loop_s * (i % 5)
            while time.perf_counter() < end:
                pass
            return i

        for i in range(400):
            call = workers.submit(short, i)
            await asyncio.sleep(loop_s * (i % 7) / 4)
            workers.stop(call)
            innocent = await workers.run(short, 1)
            assert innocent == 1
            await until_ended(call)
            if call.future.done() and not call.future.cancelled():
                error = call.future.exception()
                assert error is None or "Stopped" in str(error)
            else:
                call.future.cancel()
        assert await workers.close(5) == 0

    run(scenario())


def test_stops_at_any_instruction_of_the_turn_lose_no_call():
    """Calls of no length, stopped at once: most stops hit the machinery around the call."""

    async def scenario():
        workers = Workers(2)
        for i in range(3000):
            call = workers.submit(int)
            for _ in range(i % 40):
                pass
            workers.stop(call)
            if i % 3 == 0:
                await asyncio.sleep(0)
            await asyncio.wait_for(until_ended(call), 20)
            call.future.add_done_callback(lambda f: f.cancelled() or f.exception())
        assert await workers.run(lambda: "alive") == "alive"
        assert await workers.close(5) == 0

    run(scenario())


def test_waiting_for_the_end_is_not_cut_short():
    async def scenario():
        workers, gate = Workers(1), threading.Event()
        call = workers.submit(gate.wait)
        waiting = asyncio.create_task(until_ended(call))
        await asyncio.sleep(0.005)
        waiting.cancel()
        await asyncio.sleep(0.02)
        assert not waiting.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert call.ended
        assert await workers.close(5) == 0

    run(scenario())


def test_a_thread_that_cannot_be_stopped_is_left_behind_and_said_so():
    async def scenario():
        workers, gate = Workers(1), threading.Event()
        call = workers.submit(gate.wait)  # sits in C code
        await asyncio.sleep(0.01)
        assert await workers.close(0.01) == 1
        assert call.ended
        with pytest.raises(RuntimeError, match="closed"):
            workers.submit(int)
        gate.set()
        await eventually(lambda: workers._threads == 0)

    run(scenario())


def test_a_thread_that_goes_to_sleep_as_it_is_closed_ends_and_is_counted(monkeypatch):
    take, asleep, closed = Workers._take, threading.Event(), threading.Event()

    def slow_to_sleep(self, turn, wake):
        went_on = take(self, turn, wake)
        if turn.call is None and not closed.is_set():
            asleep.set()
            closed.wait(20)
        return went_on

    async def scenario():
        monkeypatch.setattr(Workers, "_take", slow_to_sleep)
        workers = Workers(1)
        await workers.run(int)
        await eventually(asleep.is_set)
        closing = asyncio.create_task(workers.close(20))
        await eventually(lambda: workers._closing)
        closed.set()
        assert await closing == 0

    run(scenario())


def test_what_waits_for_a_thread_is_dropped_at_the_end():
    async def scenario():
        workers, gate, ran = Workers(1), threading.Event(), []
        first = workers.submit(gate.wait)
        await eventually(lambda: workers._running)
        second = workers.submit(ran.append, 1)
        closing = asyncio.create_task(workers.close(20))
        await eventually(second.future.cancelled)
        gate.set()
        assert await closing == 0
        assert first.ended
        assert second.ended
        assert ran == []

    run(scenario())


def test_one_that_is_stopped_before_it_begins_never_does(monkeypatch):
    take, ran = Workers._take, []

    def struck(self, turn, wake):
        went_on = take(self, turn, wake)
        if turn.call is not None and turn.call.function == ran.append:
            turn.call.stopped = True
            raise Stopped
        return went_on

    async def scenario():
        monkeypatch.setattr(Workers, "_take", struck)
        workers = Workers(1)
        with pytest.raises(RuntimeError, match="Stopped"):
            await workers.run(ran.append, 1)
        assert ran == []
        assert await workers.close(5) == 0

    run(scenario())


def test_who_stops_it_again_does_not_strike_it_sooner(monkeypatch):
    told = []

    async def scenario():
        workers, gate = Workers(1), threading.Event()
        call = workers.submit(gate.wait)
        await eventually(lambda: workers._running)
        monkeypatch.setattr(threads, "_raise_in", lambda thread, error: told.append(error))
        workers.stop(call)
        workers.stop(call)
        assert told == [Stopped]
        gate.set()
        await until_ended(call)
        assert await workers.close(5) == 0

    run(scenario())


def test_without_a_thread_to_be_had_a_call_is_refused(monkeypatch):
    def no_more(self):
        raise RuntimeError("can't start new thread")

    async def scenario():
        workers = Workers(2)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_more)
            with pytest.raises(RuntimeError, match="no thread left"):
                workers.submit(int)
        assert await workers.run(lambda: 5) == 5
        assert await workers.close(5) == 0

    run(scenario())


def test_results_do_not_keep_memory():
    import gc
    import weakref

    class Thing:
        pass

    async def scenario():
        workers = Workers(1)
        thing = await workers.run(Thing)
        gone = weakref.ref(thing)
        del thing
        await workers.run(int)
        gc.collect()
        assert gone() is None
        assert await workers.close(5) == 0

    run(scenario())
