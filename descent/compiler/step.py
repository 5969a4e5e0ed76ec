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

from descent import autograd
from descent.autograd import TensorBase, capturing, wrap
from descent.compiler.guards import Guard
from descent.compiler.program import Program
from descent.compiler.shadow import Unsupported

__all__ = ["Step", "compile"]

log = logging.getLogger("descent.compile")
MOST_PROGRAMS = 8


class Step:
    """A function with compiled forms, one per kind of arguments. Make one with `compile`."""

    def __init__(
        self, fn: Callable[..., Any], *, keep_grads: bool | None, threads: bool, precision: str
    ) -> None:
        if precision not in ("float32", "bf16"):
            raise ValueError(f"precision must be 'float32' or 'bf16', not {precision!r}")
        self.fn = fn
        self.name = getattr(fn, "__qualname__", type(fn).__name__)
        self.precision = precision
        self.keep_grads = keep_grads
        self.threads = threads
        self.programs: list[tuple[Guard, Program]] = []
        self.refused: str | None = None
        self.seconds_compiling = 0.0
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.refused is not None or capturing() is not None or autograd._state.observers:
            return self.fn(*args, **kwargs)  # in another step's capture, or under a trace
        reason = ""
        for guard, program in self.programs:
            reason = guard.broken(args, kwargs)
            if not reason:
                if guard.aliased(args, kwargs):
                    return self.fn(*args, **kwargs)
                return program(args, kwargs)
        return self._captured(reason, args, kwargs)

    def _captured(self, reason: str, args: Any, kwargs: Any) -> Any:
        if len(self.programs) >= MOST_PROGRAMS:
            return self._refuse(
                f"it was captured {MOST_PROGRAMS} times already, the last because {reason}",
                args, kwargs,
            )  # fmt: skip
        if reason:
            log.info("compiling %s again: %s", self.name, reason)
        began = time.perf_counter()
        guard = Guard(self.fn, args, kwargs)
        try:
            program = Program(
                self.fn, args, kwargs, guard, self.keep_grads, self.threads, self.precision
            )
        except Unsupported as error:
            guard.around.restore()
            return self._refuse(str(error), args, kwargs)
        except Exception as error:
            guard.around.restore()
            result = self.fn(*args, **kwargs)  # an error of the user's shows here as it always does
            log.debug("compiling %s failed", self.name, exc_info=error)
            self._refuse_for(f"{type(error).__name__}: {error}".splitlines()[0])
            return result
        except BaseException:
            guard.around.restore()
            raise
        self.seconds_compiling += time.perf_counter() - began
        if guard.aliased(args, kwargs):
            return self.fn(*args, **kwargs)
        self.programs.insert(0, (guard, program))
        return program(args, kwargs)

    def _refuse(self, why: str, args: Any, kwargs: Any) -> Any:
        self._refuse_for(why)
        return self.fn(*args, **kwargs)

    def _refuse_for(self, why: str) -> None:
        self.refused = why
        log.warning("%s runs uncompiled: %s", self.name, why)

    def scan(self, *stacked: Any) -> Any:
        """Run the step for row 0 of the arguments, then for row 1, …; small steps without Python
        in between. What decides a step may not change meanwhile (a learning rate, say).

        Args:
            stacked: tensors whose first axis counts the steps.

        Returns:
            What the step returns, with that axis in front.

        Raises:
            ValueError: unless all are tensors with equally many rows, at least one.
        """
        sizes = {t.array.shape[:1] for t in stacked if isinstance(t, TensorBase)}
        if len(sizes) != 1 or not all(isinstance(t, TensorBase) for t in stacked):
            raise ValueError("scan takes tensors whose first axes are equally long")
        n = sizes.pop()[0] if sizes != {()} else 0
        if n == 0:
            raise ValueError("scan takes at least one row")
        row = tuple(t[0] for t in stacked)
        alone = self.refused is None and capturing() is None and not autograd._state.observers
        for guard, program in self.programs if alone else ():
            if not guard.broken(row, {}) and guard.lasts() and not guard.aliased(stacked, {}):
                return program.scan(stacked)
        results = [self(*row)]
        results += [self(*(t[i] for t in stacked)) for i in range(1, n)]
        return _stacked(results)

    # -- looking inside ------------------------------------------------------------------------

    @property
    def program(self) -> Program:
        """The program of the last capture."""
        if not self.programs:
            raise RuntimeError(
                f"{self.name} has no compiled form yet: "
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
        return f"<compiled step {self.name}: {state}>"


def compile(
    fn: Callable[..., Any] | None = None,
    *,
    keep_grads: bool | None = None,
    threads: bool = True,
    precision: str = "float32",
) -> Any:
    """Decorator or function: run `fn` as a compiled step.

    Args:
        fn: a function of tensors, numbers and nested lists of them. Where it does more than
            compute on tensors, it runs as ordinary Python, with a message: when it reads numbers
            (`loss.item()`), prints, asks for the time, draws from Python's or NumPy's random
            numbers, takes from an iterator, or changes a list, dict, attribute or global outside.
            What it reads there is guarded, and captured anew when it changed. Not noticed: a
            change inside a NumPy array of more than 16 KB or a list of more than 512 entries,
            what foreign code remembers by itself, and a file or clock read by such code.
        keep_grads: leave gradients in `.grad` after a step that also updates the parameters
            (None: only when it does not; a step that updates them leaves None).
        threads: share large steps among threads.
        precision: "bf16" rounds both operands of every matrix product to bf16 (8 bits of
            precision; sums, weights and everything else stay float32), for twice the speed where
            the processor has a unit for it.

    Returns:
        A `Step`: call it as `fn`. `.source()` is what runs, `.report()` where time goes. Results
        are copies, without a history: walk back inside the step. Gradients it leaves lie where
        the next call writes its own.
    """
    if fn is None:
        return lambda f: compile(f, keep_grads=keep_grads, threads=threads, precision=precision)
    return Step(fn, keep_grads=keep_grads, threads=threads, precision=precision)


def _stacked(results: list[Any]) -> Any:
    """Results of one structure, their tensors along a new first axis."""
    first = results[0]
    if isinstance(first, TensorBase):
        return wrap(np.stack([r.array for r in results]))
    if isinstance(first, (tuple, list)):
        return type(first)(_stacked(list(column)) for column in zip(*results))
    if isinstance(first, dict):
        return {k: _stacked([r[k] for r in results]) for k in first}
    return results
