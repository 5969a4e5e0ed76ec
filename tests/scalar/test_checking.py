"""gradcheck finds wrong derivatives, names them, and passes right ones."""

import math

import pytest

from descent.scalar import GradcheckError, Value, gradcheck


def wrong(a, b):
    """a·b with the derivative by b forgotten."""
    return Value(a.data * b.data, (a, b), "wrong", local=(b.data, 0.0))


def test_right_derivatives_pass_and_show_a_table():
    result = gradcheck(lambda x, y: (x * y).exp() / y, 0.5, Value(2.0, label="scale"))
    assert result.max_error < 1e-8
    table = str(result).splitlines()
    assert table[0].split() == ["input", "value", "chain", "rule", "measured", "error"]
    assert table[1].split()[:2] == ["x", "0.5"]
    assert table[2].split()[:2] == ["scale", "2"]
    assert float(table[1].split()[2]) == pytest.approx(math.e, rel=1e-9)


def test_the_wrong_input_is_named():
    with pytest.raises(GradcheckError, match="with respect to b\n") as caught:
        gradcheck(wrong, 2.0, 3.0)
    assert caught.value.result.max_error == pytest.approx(2.0)
    with pytest.raises(GradcheckError, match="with respect to weight\n"):
        gradcheck(wrong, 2.0, Value(3.0, label="weight"))
    with pytest.raises(GradcheckError, match="with respect to x1\n"):
        gradcheck(lambda *xs: wrong(*xs), 2.0, 3.0)


def test_nan_is_wrong():
    def f(x):
        return Value(x.data, (x,), "broken", local=(math.nan,))

    with pytest.raises(GradcheckError, match="with respect to x"):
        gradcheck(f, 1.0)


def test_the_given_values_are_untouched():
    x = Value(2.0)
    x.grad = 7
    gradcheck(lambda v: v * v, x)
    assert (x.data, x.grad) == (2.0, 7)


def test_large_numbers_are_judged_relatively():
    gradcheck(lambda x: x * x * x, 1e6)
    gradcheck(lambda x: x + 1e9, 1e-3)


def test_f_must_return_a_value():
    with pytest.raises(TypeError, match=r"f must return one Value, got list"):
        gradcheck(lambda x: [x], 1.0)
