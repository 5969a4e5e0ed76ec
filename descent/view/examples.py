"""Inputs to time an op on, by its name or from its axes alone: small, middling, large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from descent.op import Elementwise, Op
from descent.view.errors import QuestionError

__all__ = ["Example", "examples_of", "has_examples"]

Arrays = list[np.ndarray]
NUMBERS = (1_000, 100_000, 3_145_728)  # elements of an elementwise op
ROWS = ((32, 27), (1024, 768), (256, 50257))  # a batch of letters, GPT-2's width, its vocabulary
METAS = {"dim": -1, "eps": 1e-5, "scale": 0.125, "correction": 1, "p": 3.0}


class Example(NamedTuple):
    """One case: what to call it, the op's inputs as a user gives them, and its metas."""

    label: str
    arrays: Arrays
    meta: dict[str, Any]


def normal(*shape: int) -> np.ndarray:
    """The same standard normal numbers on every call."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _scored(r: int, c: int) -> Arrays:
    return [normal(r, c), np.random.default_rng(1).integers(0, c, r)]


def _attended(b: int, t: int, d: int) -> Arrays:
    return [normal(b, t, d), normal(b, t, d) * 0.5, normal(b, t, d) + 1, np.arange(1, t + 1)]


def _convolved(b: int, i: int, o: int, side: int, k: int) -> Arrays:
    """Inputs with their margins already there: places as `nn.functional.convolution` makes them."""
    wide = side + k - 1
    s = np.arange(side)
    corner = (s[:, None] * wide + s).reshape(-1, 1)
    offset = (np.arange(k)[:, None] * wide + np.arange(k)).reshape(1, -1)
    return [normal(b, 1, i, wide * wide), normal(1, o, i, k * k), corner + offset]


def _product(*shapes: tuple[int, ...]) -> Arrays:
    return [normal(*s) for s in shapes]


LAYERS = ((32, 30, 200), (256, 768, 768), (256, 768, 3072))  # rows, inputs, outputs
# What cannot be made from axes alone: (label, inputs) for each case.
MADE: dict[str, Callable[[], list[tuple[str, Arrays]]]] = {
    "cross_entropy": lambda: [(f"{r}×{c}", _scored(r, c)) for r, c in ROWS],
    "nll": lambda: [(f"{r}×{c}", _scored(r, c)) for r, c in ROWS],
    "attention": lambda: [
        (f"{b} heads, {t}×{d}, causal", _attended(b, t, d))
        for b, t, d in ((32, 16, 16), (48, 64, 32), (4, 1024, 64))
    ],
    "rotary": lambda: [
        (f"{b}×{t}×{n}×{d}", [normal(b, t, n, d), normal(t, d // 2), normal(t, d // 2)])
        for b, t, n, d in ((8, 16, 4, 16), (4, 128, 12, 64), (1, 2048, 32, 64))
    ],
    "conv": lambda: [
        (f"{b}×{i}→{o}, {n}², {k}×{k}", _convolved(b, i, o, n, k))
        for b, i, o, n, k in ((8, 1, 6, 28, 5), (8, 16, 32, 28, 3), (4, 64, 64, 56, 3))
    ],
    "matmul": lambda: [
        (f"{b}×{n}³", _product((b, n, n), (b, n, n))) for b, n in ((1, 32), (1, 256), (12, 256))
    ],
    "mm": lambda: [(f"{m}×{k}·{k}×{n}", _product((m, k), (k, n))) for m, k, n in LAYERS],
    "linear": lambda: [(f"{m}×{k}, {n}×{k}", _product((m, k), (n, k))) for m, k, n in LAYERS],
    "affine": lambda: [(f"{m}×{k}, {n}×{k}", _product((m, k), (n, k), (n,))) for m, k, n in LAYERS],
}


def examples_of(op: Any) -> list[Example]:
    """The cases to time an op on.

    Raises:
        QuestionError: for an op whose inputs nobody has described.
    """
    if op.name in MADE:
        return [Example(label, arrays, METAS) for label, arrays in MADE[op.name]()]
    if isinstance(op, Elementwise):
        return [
            Example(f"{n:,} numbers", [np.abs(normal(n)) for _ in op.inputs], {}) for n in NUMBERS
        ]
    if isinstance(op, Op) and _row_wise(op.in_letters):
        return [Example(f"{r}×{c}", _rows(op, r, c), METAS) for r, c in ROWS]
    raise QuestionError(
        f"{op.name} cannot be timed from its declaration: describe inputs for it in "
        "descent/view/examples.py"
    )


def has_examples(op: Any) -> bool:
    """Whether the op can be timed."""
    try:
        examples_of(op)
    except QuestionError:
        return False
    return True


def _row_wise(operands: Sequence[tuple[str, ...]]) -> bool:
    return operands[0] == ("r", "c") and all(o in (("r", "c"), ("r",), ("c",)) for o in operands)


def _rows(op: Op, r: int, c: int) -> Arrays:
    return [normal(*({"r": r, "c": c}[k] for k in letters)) for letters in op.in_letters]
