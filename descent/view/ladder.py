"""The ladder of an op, climbed: the time of every rung at a few sizes, forward and gradient.

Plain Python is timed on a tiny case of the same op and scaled by the number of elements (marked ≈).
A rate counts the operations the declaration states, or else the bytes read and written.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from descent.op import Elementwise, Op
from descent.op.declared import Ladder
from descent.view.examples import Example, examples_of

__all__ = ["Rung", "climb"]

TINY = 512  # elements of the case that plain Python runs
PATIENCE_S = 0.4  # for one rung
Run = Callable[[], Any]


@dataclass(frozen=True)
class Rung:
    """One measured implementation of one case."""

    op: str  # "softmax" or "softmax grad"
    case: str
    shapes: tuple[tuple[int, ...], ...]  # of the inputs as a user gives them
    rung: str
    seconds: float
    operations: int  # 0 when the op does not state them
    bytes: int
    scaled: bool  # measured on a tiny case and multiplied
    times_below: float | None  # how many times faster than the rung below

    @property
    def rate(self) -> str:
        """GFLOP/s, or GB/s where operations are not the point."""
        if self.operations > 4 * self.bytes:
            return f"{self.operations / self.seconds / 1e9:,.1f} GFLOP/s"
        return f"{self.bytes / self.seconds / 1e9:,.1f} GB/s"


def climb(op: Any) -> Iterator[Rung]:
    """Time every rung of the op's ladders on its examples, lowest rung first.

    Raises:
        QuestionError: for an op whose inputs cannot be made.
    """
    for example in examples_of(op):
        shapes = tuple(a.shape for a in example.arrays)
        works = _elementwise(op, example) if isinstance(op, Elementwise) else _declared(op, example)
        for name, operations, moved, rungs in works:
            below = None
            for rung, run, scale in rungs:
                try:
                    seconds = _median(run) * scale
                except (MemoryError, TypeError, ValueError) as error:
                    raise RuntimeError(
                        f"{name} on {example.label}, rung {rung}: {error}"
                    ) from error
                yield Rung(
                    name, example.label, shapes, rung, seconds, operations, moved, scale != 1.0,
                    below / seconds if below else None,
                )  # fmt: skip
                below = seconds


Work = tuple[str, int, int, list[tuple[str, Run, float]]]


def _declared(op: Op, example: Example) -> Iterator[Work]:
    lowered, _ = op.lower.down(op, example.arrays, example.meta)
    outs, _ = op.forward(example.arrays, example.meta)
    metas = [example.meta[m] for m in op.metas]
    outs = op.ladder.run(lowered, metas, lambda: op.allocate(lowered))
    sizes = op.axes.sizes(op.name, [a.shape for a in lowered])
    operations = op.flops(**sizes) if op.flops else 0
    rungs = _rungs(op.ladder, lowered, metas, lambda: op.allocate(lowered))
    yield op.name, operations, _bytes(*lowered, *outs), [_python(op, lowered, metas), *rungs]
    known = dict(zip(op.inputs, lowered)) | dict(zip(op.outputs, outs))
    known[f"d{op.outputs[0]}"] = np.ones_like(outs[0])
    for ladder in op.grads:
        reads = [known[n] for n in ladder.inputs]
        writes = [known[n[1:]] for n in ladder.outputs]
        name = f"{op.name} {', '.join(ladder.outputs)}"
        yield name, operations, _bytes(*reads, *writes), _rungs(
            ladder, reads, [example.meta[m] for m in ladder.metas],
            lambda writes=writes: [np.empty_like(w) for w in writes],
        )  # fmt: skip


def _python(op: Op, lowered: Sequence[np.ndarray], metas: list[Any]) -> tuple[str, Run, float]:
    """The loops as plain Python, on what feeds the last output number alone."""
    sizes = op.axes.sizes(op.name, [a.shape for a in lowered])
    last = [n - 1 for n in op.axes.out_shapes(sizes)[0]]
    slices, _ = op.axes.reads(last)
    some = [a[s] for a, s in zip(lowered, slices)]
    fewer = op.axes.sizes(op.name, [a.shape for a in some])
    work = op.flops or (lambda **n: math.prod(n[k] for k in op.axes.outputs[0].letters))
    run = lambda: op.ladder.run_rung("python", some, metas, lambda: op.allocate(some))  # noqa: E731
    return "python", run, work(**sizes) / work(**fewer)


def _rungs(
    ladder: Ladder, arrays: Sequence[np.ndarray], metas: list[Any], like: Callable[[], list]
) -> list[tuple[str, Run, float]]:
    """The compiled loops and everything above them that may run here."""
    found: list[tuple[str, Run, float]] = []
    for name in ["loops", *(r.name for r in ladder.rungs)]:
        condition = next((r.when for r in ladder.rungs if r.name == name), None)
        if condition is None or condition(*arrays, *metas):
            run = lambda name=name: ladder.run_rung(name, arrays, metas, like)  # noqa: E731
            found.append((name, run, 1.0))
    return found


def _elementwise(op: Elementwise, example: Example) -> Iterator[Work]:
    arrays = example.arrays
    (y,), _ = op.forward(arrays, {})
    tiny = [a[:TINY] for a in arrays]
    rungs: list[tuple[str, Run, float]] = [
        ("python", lambda: op.run_python(tiny, {}), arrays[0].size / tiny[0].size),
        ("loops", lambda: op.run_compiled(arrays, {}), 1.0),
    ]
    metas = [op.defaults[m] for m in op.metas]
    yield op.name, 0, _bytes(*arrays, y), rungs + _forms(op.arrays, [*arrays, *metas])
    known = dict(zip(op.inputs, arrays)) | dict(zip(op.metas, metas)) | {"y": y, "dy": y}
    for name, d in op.derivatives.items():
        read = [known[n] for n in d.names]
        moved = _bytes(*(a for a in read if isinstance(a, np.ndarray)), y)
        yield f"{op.name} d{name}", 0, moved, _forms(d.arrays, read)


def _forms(form: Callable[..., Any], given: list[Any]) -> list[tuple[str, Run, float]]:
    """The whole-array form and, where there is one, the compiled loop that large arrays take."""
    if not hasattr(form, "tuned"):
        return [("numpy", lambda: form(*given), 1.0)]
    plain: Callable[..., Any] = form.__wrapped__
    return [("numpy", lambda: plain(*given), 1.0), ("tuned", lambda: form(*given), 1.0)]


def _bytes(*arrays: np.ndarray) -> int:
    return sum(a.nbytes for a in arrays)


def _median(run: Run) -> float:
    """The median of up to eleven timings, after one call to warm up."""
    with np.errstate(all="ignore"):
        began = time.perf_counter()
        run()
        times = []
        while len(times) < 11 and (len(times) < 3 or time.perf_counter() - began < PATIENCE_S):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return statistics.median(times)
