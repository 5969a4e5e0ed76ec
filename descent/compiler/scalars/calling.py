"""`replay(function)`: what a function of Values does, recorded once and run compiled from then on.

    step = replay(step, parameters=model.parameters())
    loss = step(X, y, rate)          # the first call records; later calls run the compiled loops

Anything the function does with numbers is replayed: the loss, `backward()`, the update of `p.data`.
Parameters are read at each call and written back after it. What cannot be replayed (a branch on a
number, random draws inside) is told once, as a `ReplayWarning` with the line, and run plainly.
"""

from __future__ import annotations

import functools
import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from descent.compiler.scalars.given import arguments, given
from descent.compiler.scalars.program import Program
from descent.compiler.scalars.recording import record
from descent.compiler.scalars.tape import Refusal
from descent.compiler.scalars.windows import closed, opened
from descent.scalar import Value

__all__ = ["Replay", "ReplayWarning", "replay"]


class ReplayWarning(UserWarning):
    """A function cannot be replayed and runs plainly; the message says why."""


def replay(function: Callable[..., Any] | None = None, *, parameters: Sequence[Value] = ()) -> Any:
    """A callable that does what `function` does, recorded once per shape of its arguments.

    Arguments that are numbers, lists of numbers or arrays may differ from call to call; the rows of
    the first array are the rows of the batch. Any other argument is part of the recording. Usable
    as a decorator: `@replay(parameters=model.parameters())`.
    """
    if function is None:
        return lambda f: Replay(f, parameters)
    return Replay(function, parameters)


class Replay:
    """See `replay`."""

    def __init__(self, function: Callable[..., Any], parameters: Sequence[Value]) -> None:
        self.function = function
        self.parameters = list(parameters)
        for p in self.parameters:
            if type(p) is not Value or p.parents:
                raise TypeError(f"parameters must be plain Values that nothing computes, got {p!r}")
        if len({id(p) for p in self.parameters}) != len(self.parameters):
            raise ValueError("a parameter is listed twice")
        self.data = np.zeros(len(self.parameters))
        self.grad = np.zeros(len(self.parameters))
        self._programs: dict[tuple, Program | None] = {}
        self._last: Program | None = None
        self._held = False
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        numbers = [given(arg) for arg in args]
        key = tuple([k for k, _ in numbers])
        try:
            program = self._programs[key]
        except (KeyError, TypeError):
            program = self._new(key, args)
        if program is None:
            return self.function(*args)
        self._last = program
        if not self._held:
            self._read()
        program.run([x for _, x in numbers if x is not None], self.data, self.grad)
        if not self._held:
            self._write(program)
        return program.answer(self.parameters)

    def source(self) -> str:
        """The text of the loops that the last call ran."""
        if self._last is None:
            raise RuntimeError("nothing is recorded yet: call it once, or it runs plainly")
        return self._last.source

    def hold(self) -> Replay:
        """Keep the parameters in the arrays `data` and `grad`: nothing is copied in a call. Their
        Values become windows: they show the arrays' numbers, and writing to `p.data` writes there.
        Until `release()`, or for the length of `with step.hold(): …`."""
        if self._held:
            raise RuntimeError("the parameters are already held")
        self._read()
        opened(self.parameters, self.data, self.grad)
        self._held = True
        return self

    def release(self) -> None:
        """Make the parameters plain Values again."""
        if self._held:
            self._held = False
            closed(self.parameters)

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _read(self) -> None:
        self.data[:] = [p.data for p in self.parameters]
        self.grad[:] = [p.grad for p in self.parameters]

    def _write(self, program: Program) -> None:
        if program.changes_data:
            for p, x in zip(self.parameters, self.data.tolist()):
                p.data = x
        if program.changes_grad:
            for p, x in zip(self.parameters, self.grad.tolist()):
                p.grad = x

    def _new(self, key: tuple, args: tuple) -> Program | None:
        """Record; None, told once, where that cannot be done."""
        why = ""
        try:
            hash(key)
        except TypeError as error:
            key = ("unhashable",)
            why = f"an argument is neither numbers nor fixed: {error}"
        if key in self._programs:
            return self._programs[key]
        program = None
        try:
            program = None if why else self._record(key, args)
        except Refusal as refusal:
            why = str(refusal)
        self._programs[key] = program
        if program is None:
            name = getattr(self.function, "__name__", repr(self.function))
            text = f"{name} runs plainly, not replayed: {why}"
            warnings.warn(text, ReplayWarning, stacklevel=3)
        return program

    def _record(self, key: tuple, args: tuple) -> Program:
        if self._held:
            closed(self.parameters)
        try:
            described = arguments(key, args)
            with _collector_paused():
                recording = record(self.function, args, described, self.parameters)
                return Program(recording, described, len(self.parameters))
        finally:
            if self._held:
                opened(self.parameters, self.data, self.grad)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A recording is 200,000 objects that all stay: Python's collector would only walk them."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
