"""Random graphs over rows, parameters and constants: replayed as computed, gradients included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.compiler.scalars import replay
from descent.scalar import Value

ONE = {
    "tanh": lambda a: a.tanh(),
    "sin": lambda a: a.sin(),
    "relu": lambda a: a.relu(),
    "sigmoid": lambda a: a.sigmoid(),
    "abs": lambda a: a.abs(),
    "neg": lambda a: -a,
    "square": lambda a: a**2,
    "half": lambda a: a / 2,
    "one": lambda a: 1 - a,
}
TWO = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "max": lambda a, b: b.maximum(a) if type(a) is Value else a.maximum(b),
    "/": lambda a, b: a / (1 + b * b),
}
STEP = st.tuples(st.sampled_from([*ONE, *TWO, *TWO]), st.integers(0, 30), st.integers(0, 30))
ROWS = np.random.RandomState(3).normal(size=(5, 2))


def program(steps, parameters, mixing):
    """A function of a batch: each row runs the same steps; `mixing` says what is done across."""

    def run(X, scale):
        totals = []
        for x in X:
            pool = [Value(x[0]), Value(x[1]), *parameters, Value(0.5)]
            for op, i, j in steps:
                a, b = pool[-1 - i % len(pool)], pool[j % len(pool)]
                pool.append(ONE[op](a) if op in ONE else TWO[op](a, b))
            totals.append(pool[-1] + pool[-2] * parameters[0])
        if mixing == "sum":
            loss = sum(totals) * scale
        elif mixing == "normalised":
            mean = sum(totals) / len(totals)
            loss = sum((t - mean) ** 2 for t in totals) * scale
        else:
            loss = totals[0] * totals[1] - totals[-1] * scale
        for p in parameters:
            loss = loss + 0.01 * (p * p)
        loss.backward()
        return loss, [t.data for t in totals]

    return run


def compare(steps, mixing):
    ours, theirs = ([Value(0.3), Value(-0.8), Value(1.1)] for _ in range(2))
    f = replay(program(steps, ours, mixing), parameters=ours)
    for X, scale in ((ROWS, 0.2), (ROWS[::-1] * 0.7, 1.5)):
        got = f(X, scale)
        expected = program(steps, theirs, mixing)(X, scale)
        for a, b in (
            ([got[0].data, *got[1]], [expected[0].data, *expected[1]]),
            ([p.grad for p in ours], [p.grad for p in theirs]),
        ):
            size = max(1.0, float(np.max(np.abs(b))))
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * size)


@pytest.mark.parametrize("mixing", ["sum", "normalised", "apart"])
@settings(max_examples=40)
@given(steps=st.lists(STEP, min_size=1, max_size=20))
def test_random_graphs(mixing, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESCENT_COMPILE", "0")
        compare(steps, mixing)


def test_one_of_them_compiled():
    rng = np.random.RandomState(1)
    ops = [*ONE, *TWO]
    steps = [
        (op, int(i), int(j))
        for op, i, j in zip(ops * 2, rng.randint(30, size=40), rng.randint(30, size=40))
    ]
    compare(steps, "normalised")
