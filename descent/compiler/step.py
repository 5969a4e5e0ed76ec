"""`compile`: a step as one compiled program.

    step = descent.compile(train_step)
    loss = step(x, y)        # captured and compiled at the first call; then run

A step is a function of tensors that trains (forward, loss, backward, optimiser) or infers. Arrays
keep their places, nothing is allocated, and threads share the work. What was decided at capture is
guarded: other shapes, dtypes or settings are captured anew, with a log line that says why; what
can't be captured runs as ordinary Python, with a message.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from descent.autograd import TensorBase, wrap
from descent.compiler.guards import Guard, describe
from descent.compiler.program import Program
from descent.compiler.shadow import Unsupported

__all__ = ["Step", "compile"]

log = logging.getLogger("descent.compile")
MOST_PROGRAMS = 8


class Step:
    """A function with compiled forms, one per kind of arguments. Make one with `compile`."""

    def __init__(self, fn: Callable[..., Any], *, keep_grads: bool | None, threads: bool) -> None:
        self.fn = fn
        self.keep_grads = keep_grads
        self.threads = threads
        self.programs: list[tuple[Guard, Program]] = []
        self.refused: str | None = None
        self.seconds_compiling = 0.0
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.refused is not None:
            return self.fn(*args, **kwargs)
        reason = ""
        for guard, program in self.programs:
            reason = guard.broken(args, kwargs)
            if not reason:
                return program(args, kwargs)
        return self._captured(reason, args, kwargs)

    def _captured(self, reason: str, args: Any, kwargs: Any) -> Any:
        if len(self.programs) >= MOST_PROGRAMS:
            return self._refuse(
                f"it was captured {MOST_PROGRAMS} times already, the last because {reason}",
                args, kwargs,
            )  # fmt: skip
        if reason:
            log.info("compiling %s again: %s", self.fn.__qualname__, reason)
        began = time.perf_counter()
        try:
            guard = Guard(self.fn, args, kwargs)
            program = Program(self.fn, args, kwargs, guard, self.keep_grads, self.threads)
        except Unsupported as error:
            return self._refuse(str(error), args, kwargs)
        self.seconds_compiling += time.perf_counter() - began
        self.programs.insert(0, (guard, program))
        return program(args, kwargs)

    def _refuse(self, why: str, args: Any, kwargs: Any) -> Any:
        self.refused = why
        log.warning("%s runs uncompiled: %s", self.fn.__qualname__, why)
        return self.fn(*args, **kwargs)

    # -- looking inside ------------------------------------------------------------------------

    @property
    def program(self) -> Program:
        """The program of the last capture."""
        if not self.programs:
            raise RuntimeError(
                f"{self.fn.__qualname__} has no compiled form yet: "
                + (f"it runs uncompiled, since {self.refused}" if self.refused else "call it first")
            )
        return self.programs[0][1]

    def source(self) -> str:
        """The Python file the step was turned into."""
        return self.program.written.text

    @property
    def path(self) -> str:
        """Where that file lies."""
        return self.program.path

    def report(self, repeat: int = 5) -> list[dict[str, Any]]:
        """Every work of a step, timed alone on one thread: name, phase, seconds, operations, what
        it comes from. The numbers it runs on are those of the last call."""
        return self.program.report(repeat)

    def __repr__(self) -> str:
        state = self.refused or f"{len(self.programs)} compiled form(s)"
        return f"<compiled step {self.fn.__qualname__}: {state}>"


def compile(
    fn: Callable[..., Any] | None = None,
    *,
    keep_grads: bool | None = None,
    threads: bool = True,
) -> Any:
    """Decorator or function: run `fn` as a compiled step.

    Args:
        fn: a function of tensors, numbers and nested lists of them. What it does beside computing
            on tensors (printing, counting) happens when it is captured, not when it runs.
        keep_grads: leave gradients in `.grad` after a step that also updates the parameters
            (None: only when it does not; a step that updates them leaves None).
        threads: share large steps among threads.

    Returns:
        A `Step`: call it as `fn`. `.source()` is what runs, `.report()` where time goes.
    """
    if fn is None:
        return lambda f: compile(f, keep_grads=keep_grads, threads=threads)
    return Step(fn, keep_grads=keep_grads, threads=threads)


_ = (TensorBase, wrap, np, describe)
