"""Every operation of Value, replayed: number and derivatives are those of the plain engine."""

import math
import operator

import numpy as np
import pytest

from descent.compiler.scalars import replay
from descent.compiler.scalars.recorded import _ONE, _PAIRS
from descent.scalar import Value
from descent.scalar.functions import Functions
from descent.scalar.steps import Steps

INF, NAN = math.inf, math.nan
POINTS = np.array(
    [-INF, -750.0, -2.5, -1.0, -0.3, -0.0, 0.0, 0.3, 0.5, 1.0, 2.5, 40.0, 800.0, INF, NAN]
)
PAIRS = np.array([(a, b) for a in POINTS for b in POINTS])
UNARY = sorted(_ONE)
BINARY = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "%": operator.mod,
    "//": operator.floordiv,
    "fmod": lambda a, b: a.fmod(b),
    "arctan2": lambda a, b: a.arctan2(b),
    "hypot": lambda a, b: a.hypot(b),
    "max": lambda a, b: a.maximum(b),
    "min": lambda a, b: a.minimum(b),
}


@pytest.fixture(params=["1", "0"], ids=["compiled", "plain Python"])
def compiled(request, monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", request.param)


def test_no_operation_is_forgotten():
    methods = {n for c in (Functions, Steps) for n, m in vars(c).items() if callable(m)}
    reflected = {
        n for n in methods if not n.startswith("_") or n in ("__floor__", "__ceil__", "__trunc__")
    }
    assert reflected - set(UNARY) == {"maximum", "minimum", "fmod", "arctan2", "hypot"}
    assert {"%", "//", "fmod", "arctan2", "hypot"} == set(_PAIRS)


def unary(points):
    """(value, derivative) of every function at every point."""
    table = []
    for x in points:
        for name in UNARY:
            v = Value(x)
            y = getattr(v, name)()
            y.backward()
            table.append((y.data, v.grad))
    return table


def binary(pairs):
    table = []
    for a, b in pairs:
        for operation in BINARY.values():
            u, v = Value(a), Value(b)
            y = operation(u, v)
            y.backward()
            table.append((y.data, u.grad, v.grad))
    return table


def test_functions_of_one_number(compiled):
    ours, plain = np.array(replay(unary)(POINTS)), np.array(unary(POINTS))
    for k, name in enumerate(UNARY):
        np.testing.assert_allclose(
            ours[k :: len(UNARY)], plain[k :: len(UNARY)], rtol=1e-12, atol=1e-300, err_msg=name
        )


def test_functions_of_two_numbers(compiled):
    ours, plain = np.array(replay(binary)(PAIRS)), np.array(binary(PAIRS), dtype=float)
    for k, name in enumerate(BINARY):
        for place in range(3):
            got, expected = ours[k :: len(BINARY), place], plain[k :: len(BINARY), place]
            same = np.isclose(got, expected, rtol=1e-12, atol=1e-300, equal_nan=True)
            wrong = [(tuple(PAIRS[i]), got[i], expected[i]) for i in np.flatnonzero(~same)]
            assert not wrong, (name, place, wrong[:5])


@pytest.mark.parametrize("n", [0, 1, 2, 3, -1, -2, 0.5, 1.5, 7])
def test_powers_with_a_plain_exponent(monkeypatch, n):
    monkeypatch.setenv("DESCENT_COMPILE", "0")

    def f(points):
        table = []
        for x in points:
            v = Value(x)
            y = v**n + n**v
            y.backward()
            table.append((y.data, v.grad))
        return table

    np.testing.assert_allclose(np.array(replay(f)(POINTS)), np.array(f(POINTS)), rtol=1e-12)
