"""Steps, remainders, angles and inverses of Values: numbers, derivatives, edges."""

import math

import numpy as np
import pytest

from descent.scalar import Value

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("step", [np.floor, np.ceil, np.trunc, np.rint])
def test_steps_are_flat(step):
    for x in (2.5, -2.5, 3.0, -0.4, INF, -INF, NAN):
        v = Value(x)
        y = step(v)
        np.testing.assert_equal(y.data, float(step(x)))
        y.backward()
        assert v.grad == 0


@pytest.mark.parametrize("f", [np.arcsinh, np.arccosh, np.arctanh])
def test_inverse_hyperbolic_functions(f):
    for x in (0.3, 0.9, 1.7, -0.5):
        v = Value(x)
        y = f(v)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(y.data, f(x), rtol=1e-15)
            slope = (f(x + 1e-6) - f(x - 1e-6)) / 2e-6
        y.backward()
        if not math.isnan(y.data):
            assert v.grad == pytest.approx(slope, rel=1e-8)
    assert np.arctanh(Value(1.0)).data == INF
    assert np.arctanh(Value(-1.0)).data == -INF


@pytest.mark.parametrize("f", [np.arctan2, np.hypot, np.fmod, np.remainder, np.floor_divide])
def test_functions_of_two(f):
    for a, b in ((2.5, 1.2), (-2.5, 1.2), (2.5, -1.2), (-0.3, -2.0)):
        x, y = Value(a), Value(b)
        z = f(x, y)
        assert z.data == pytest.approx(f(a, b), abs=1e-15)
        z.backward()
        h = 1e-6
        assert x.grad == pytest.approx((f(a + h, b) - f(a - h, b)) / (2 * h), abs=1e-7)
        assert y.grad == pytest.approx((f(a, b + h) - f(a, b - h)) / (2 * h), abs=1e-7)


def test_python_operators_reflect():
    v = Value(3.0)
    assert (7 % v).data == 1.0
    assert (7 // v).data == 2.0
    assert (v % 2).data == 1.0
    assert (-7.0 // v).data == -3.0
    with pytest.raises(TypeError, match="str"):
        v % "a"


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (INF, 2.0), (1.0, NAN), (NAN, 1.0), (0.0, 0.0)])
def test_remainders_without_a_value_are_nan(a, b):
    assert math.isnan((Value(a) % Value(b)).data)
    assert math.isnan(Value(a).fmod(Value(b)).data)


def test_division_by_zero_and_infinity_as_numpy():
    with np.errstate(all="ignore"):
        for a, b in ((1.0, 0.0), (-1.0, 0.0), (INF, 2.0), (0.0, 0.0), (-1.0, INF), (1e308, 1e-9)):
            np.testing.assert_equal((Value(a) // Value(b)).data, np.floor_divide(a, b))


def test_the_angle_of_the_origin_has_slope_zero():
    a, b = Value(0.0), Value(0.0)
    a.arctan2(b).backward()
    assert (a.grad, b.grad) == (0.0, 0.0)
