"""Worker threads for `def` functions: a cheap way there and back, and a way to stop one.

    event loop: append to a deque, wake a thread if none is awake     (one lock, ~1 µs)
    thread:     run, append to a deque, wake the loop if nobody has   (one write for many results)

A function whose median call is below `_CHEAP_S` gets one thread, which then takes one call after
another without sleeping; longer ones get a thread each, up to `limit`, and so do calls that wait
behind one that is stuck. Stopping is `PyThreadState_SetAsyncExc`: `Stopped` is raised at the
thread's next Python instruction, so code that sits in a C call ends when that call returns, and
until then the call is not `ended`. Left out: a thread is never killed; what must be killed belongs
in a process (the "command" backend).
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from descent.deploy.service.calls import Call, Stopped, Turn, until_ended

__all__ = ["Workers"]

_CHEAP_S = 200e-6
_PATIENCE_S = 0.002  # how long a call may wait for a busy thread before another is begun
_STEP = 1.2  # of the median, a call
# A stopped call that goes on is told again, and between that is not: as long as `Stopped` is on its
# way, Python 3.11 gets no further in any thread that is traced or profiled (each instruction looks
# at one flag of the whole process, handles what is pending, and begins anew).
_ARMED_S = 0.1


class _Nothing(BaseException):
    """Raised in this thread, and caught at once, so that the flag falls."""


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    given = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)


def _lower_flag() -> None:
    """Taking an exception back leaves the flag up; only one that is raised lowers it."""
    try:
        _raise_in(threading.get_ident(), _Nothing)
        for _ in range(1000):  # it is raised before this ends
            pass
    except _Nothing:
        pass


class Workers:
    """At most `limit` threads, begun when there is work for them. Used from one event loop.

    `stoppable` False: calls that have begun are waited for instead (code that an exception at any
    instruction would leave in disorder).
    """

    def __init__(self, limit: int, *, name: str = "descent", stoppable: bool = True) -> None:
        self.limit = limit
        self.stoppable = stoppable
        self.name = name
        self._lock = threading.Lock()  # guards all below; held for a few instructions at a time
        self._waiting: deque[Call] = deque()
        self._asleep: list[threading.Lock] = []
        self._running: dict[Call, int] = {}  # → the thread's id
        self._threads = 0
        self._closing = False
        self._typical_s = 0.0
        self._done = self._done_before = 0  # calls that have ended; when patience began
        self._ended: deque[Call] = deque()  # on their way back to the event loop
        self._loop_woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._patience: asyncio.TimerHandle | None = None

    # In the event loop's thread.

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Call:
        """Begin `function(*arguments)` in a thread, in the caller's context variables."""
        if self._closing:
            raise RuntimeError(f"the threads of {self.name} have been closed")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        call = Call(function, arguments)
        with self._lock:
            self._waiting.append(call)
            awake = self._threads - len(self._asleep)
            sufficient = awake and self._typical_s < _CHEAP_S
            sleeper = self._asleep.pop() if self._asleep and not sufficient else None
        if sleeper is not None:
            sleeper.release()
        elif not sufficient and self._threads < self.limit:
            if not self._begin_thread() and not self._threads:
                self._waiting.remove(call)
                raise RuntimeError("the system has no thread left for this request")
        elif self._patience is None and self._threads:
            self._be_patient()
        return call

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result or exception. Cancelled: stops it, and ends when it has ended."""
        call = self.submit(function, *arguments)
        try:
            return await call.future
        except asyncio.CancelledError:
            self.stop(call)
            await until_ended(call)
            raise

    def stop(self, call: Call) -> None:
        """Raise `Stopped` in the call, again and again; drop it if it has not begun."""
        with self._lock:
            if call.ended:
                if call.future.done() and not call.future.cancelled():
                    call.future.exception()  # seen, though nobody waits for it
                return
            if call not in self._running:
                try:
                    self._waiting.remove(call)
                except ValueError:
                    return  # a result is on its way
                return call.end()
            if call.stopped or not self.stoppable:
                return
            call.stopped = True
        self._arm(call)

    def _arm(self, call: Call) -> None:
        with self._lock:
            if call.ended or (thread := self._running.get(call)) is None:
                return
            _raise_in(thread, Stopped)
        assert self._loop is not None
        self._loop.call_later(_ARMED_S, self._pause, call)

    def _pause(self, call: Call) -> None:
        """It has not ended: take the exception back for a while."""
        if call.ended:
            return
        self._take_back(call)
        assert self._loop is not None
        self._loop.call_later(_ARMED_S, self._arm, call)

    def _take_back(self, call: Call) -> None:
        with self._lock:
            if (thread := self._running.get(call)) is not None:
                _raise_in(thread, None)
        _lower_flag()

    async def close(self, grace_s: float) -> int:
        """End the threads; how many still ran at the end of the grace (their calls count as ended:
        nobody waits for them, and they end with the process)."""
        self._closing = True
        if self._patience is not None:
            self._patience.cancel()
        with self._lock:
            running, waiting = list(self._running), list(self._waiting)
            self._waiting.clear()
            sleepers, self._asleep = self._asleep, []
        for sleeper in sleepers:
            sleeper.release()
        for call in waiting:
            call.end()
            call.future.cancel()
        for call in running:
            self.stop(call)
        until = time.monotonic() + grace_s
        while self._threads and time.monotonic() < until:
            await asyncio.sleep(0.002)
        for call in running:
            if not call.ended:
                self._take_back(call)
            call.ended = True
            call.future.cancel()
        return self._threads

    def _begin_thread(self) -> bool:
        with self._lock:
            self._threads += 1
            name = f"{self.name}-{self._threads}"
        # Daemon: a call that cannot be stopped must not keep the process from ending.
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # the system's limit
            with self._lock:
                self._threads -= 1
            return False
        return True

    def _lost_patience(self) -> None:
        """Calls have waited for a busy thread: wake or begin as many as wait too long; of cheap
        ones one, and none while they are being worked off."""
        self._patience = None
        late = time.perf_counter() - _PATIENCE_S * 0.5
        with self._lock:
            wanted = sum(call.since < late for call in self._waiting)
            if self._typical_s < _CHEAP_S:
                wanted = min(wanted, int(self._done == self._done_before))
            sleepers = [self._asleep.pop() for _ in range(min(wanted, len(self._asleep)))]
            more = min(wanted - len(sleepers), self.limit - self._threads)
            left = bool(self._waiting)
        for sleeper in sleepers:
            sleeper.release()
        for _ in range(more):
            self._begin_thread()
        if left and self._threads - len(self._asleep) < self.limit:
            self._be_patient()

    def _be_patient(self) -> None:
        assert self._loop is not None
        self._done_before = self._done
        self._patience = self._loop.call_later(_PATIENCE_S, self._lost_patience)

    def _deliver(self) -> None:
        self._loop_woken = False  # before looking: what is appended from here on wakes us again
        while self._ended:
            call = self._ended.popleft()
            if call.future.done():  # cancelled meanwhile
                continue
            if call.failed:
                call.future.set_exception(call.outcome)
            else:
                call.future.set_result(call.outcome)
            call.outcome = None

    # In the threads. `Stopped` may be raised at any instruction between `_take` and `_let_go`.

    def _work(self) -> None:
        turn, wake = Turn(), threading.Lock()
        wake.acquire()
        more = True
        while more:
            try:
                more = self._go_on(turn, wake)
            except Stopped:
                pass  # what is left of the turn follows

    def _go_on(self, turn: Turn, wake: threading.Lock) -> bool:
        """One call, from wherever the turn stands; False when the thread may end."""
        if turn.call is None and not self._take(turn, wake):
            return False
        if (call := turn.call) is None:
            wake.acquire()
            return True
        if not turn.begun and not call.stopped:
            turn.begun = True  # never twice, whatever is raised
            started = time.perf_counter()
            try:
                turn.outcome = call.context.run(call.function, *call.arguments), False
            except BaseException as error:
                turn.outcome = error, True
            self._note(time.perf_counter() - started)
        self._let_go(call)
        outcome, failed = turn.outcome
        turn.clear()  # a thread that sleeps must not keep a request's memory
        self._hand_back(call, outcome, failed)
        return True

    def _note(self, seconds: float) -> None:
        """Follow the median: one call that was preempted must not make a cheap function dear."""
        if not self._typical_s:
            self._typical_s = seconds
        self._typical_s *= _STEP if seconds > self._typical_s else 1 / _STEP

    def _take(self, turn: Turn, wake: threading.Lock) -> bool:
        """A call for this turn, or its place among those asleep; False when the thread may end."""
        with self._lock:
            if self._waiting:
                call = turn.call = self._waiting.popleft()
                self._running[call] = threading.get_ident()
            elif self._closing:
                self._threads -= 1
                return False
            else:
                self._asleep.append(wake)
            return True

    def _let_go(self, call: Call) -> None:
        with self._lock:
            self._done += 1
            self._running.pop(call, None)  # from here on `stop` leaves this thread alone
            if call.stopped:  # take back what has not fired
                _raise_in(threading.get_ident(), None)
        if call.stopped:
            _lower_flag()

    def _hand_back(self, call: Call, outcome: Any, failed: bool) -> None:
        if failed and (not isinstance(outcome, Exception) or isinstance(outcome, StopIteration)):
            # SystemExit and its like would end the event loop, and with it every other service.
            error = RuntimeError(f"{type(outcome).__name__} was raised: {outcome}")
            outcome = error.with_traceback(outcome.__traceback__)
        call.outcome, call.failed = outcome, failed
        call.end()
        self._ended.append(call)
        if not self._loop_woken:
            self._loop_woken = True
            try:
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass
