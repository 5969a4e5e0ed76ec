"""Each function of one variable: the number, its derivative, and the ends of its domain."""

import math

import pytest

from descent.scalar import Value, gradcheck

INSIDE = {
    "exp": (math.exp, [-2.0, 0.0, 3.0]),
    "exp2": (math.exp2, [-2.0, 0.0, 3.0]),
    "expm1": (math.expm1, [-2.0, 1e-9, 3.0]),
    "log": (math.log, [0.2, 1.0, 30.0]),
    "log1p": (math.log1p, [-0.5, 1e-9, 30.0]),
    "log2": (math.log2, [0.2, 1.0, 30.0]),
    "log10": (math.log10, [0.2, 1.0, 30.0]),
    "sqrt": (math.sqrt, [0.2, 1.0, 30.0]),
    "relu": (lambda x: max(x, 0.0), [-2.0, 3.0]),
    "sigmoid": (lambda x: 1 / (1 + math.exp(-x)), [-30.0, -1.0, 0.0, 4.0]),
    "tanh": (math.tanh, [-2.0, 0.0, 0.3]),
    "erf": (math.erf, [-2.0, 0.0, 0.3]),
    "sin": (math.sin, [-2.0, 0.0, 0.3]),
    "cos": (math.cos, [-2.0, 0.0, 0.3]),
    "tan": (math.tan, [-1.2, 0.0, 0.3]),
    "sinh": (math.sinh, [-2.0, 0.0, 0.3]),
    "cosh": (math.cosh, [-2.0, 0.0, 0.3]),
    "arctan": (math.atan, [-2.0, 0.0, 0.3]),
    "arcsin": (math.asin, [-0.9, 0.0, 0.3]),
    "arccos": (math.acos, [-0.9, 0.0, 0.3]),
    "abs": (abs, [-2.0, 0.3]),
}
CASES = [(name, x) for name, (_, points) in INSIDE.items() for x in points]


@pytest.mark.parametrize(("name", "x"), CASES)
def test_number_and_derivative(name, x):
    y = getattr(Value(x), name)()
    assert y.data == pytest.approx(INSIDE[name][0](x), rel=1e-15)
    assert y.op == {"relu": "ReLU"}.get(name, name)
    gradcheck(lambda v: getattr(v, name)() * 3.0, x)


INF, NAN = math.inf, math.nan
EDGES = [  # (function, x, value, derivative), as NumPy and PyTorch have them
    ("exp", 1000.0, INF, INF),
    ("exp", -1000.0, 0.0, 0.0),
    ("exp2", 2000.0, INF, INF),
    ("expm1", 1000.0, INF, INF),
    ("log", 0.0, -INF, INF),
    ("log", -1.0, NAN, -1.0),
    ("log", INF, INF, 0.0),
    ("log2", 0.0, -INF, INF),
    ("log10", 0, -INF, INF),
    ("log1p", -1.0, -INF, INF),
    ("log1p", -2.0, NAN, -1.0),
    ("sqrt", 0.0, 0.0, INF),
    ("sqrt", -1.0, NAN, NAN),
    ("sigmoid", 1000.0, 1.0, 0.0),
    ("sigmoid", -1000.0, 0.0, 0.0),
    ("sigmoid", NAN, NAN, NAN),
    ("tanh", INF, 1.0, 0.0),
    ("relu", 0.0, 0.0, 0),
    ("relu", NAN, NAN, 0),
    ("abs", 0.0, 0.0, 0),
    ("sin", INF, NAN, NAN),
    ("cos", -INF, NAN, NAN),
    ("tan", NAN, NAN, NAN),
    ("sinh", -1000.0, -INF, INF),
    ("cosh", 1000.0, INF, INF),
    ("arcsin", 1.5, NAN, NAN),
    ("arccos", 1.0, 0.0, -INF),
    ("erf", -INF, -1.0, 0.0),
]


@pytest.mark.parametrize(("name", "x", "value", "derivative"), EDGES)
def test_edges_give_inf_or_nan_and_never_raise(name, x, value, derivative):
    y = getattr(Value(x), name)()
    assert y.data == pytest.approx(value, nan_ok=True)
    assert y.local[0] == pytest.approx(derivative, nan_ok=True)


def test_maximum_and_minimum_are_nodes():
    a, b = Value(1.0), Value(2.0)
    assert (a.maximum(b).data, a.maximum(b).local) == (2.0, (0, 1))
    assert (a.minimum(b).data, a.minimum(b).local) == (1.0, (1, 0))
    assert a.maximum(b).parents == (a, b)
    assert a.maximum(1.0).local == (0.5, 0.5)
    assert a.minimum(-3).data == -3
    assert (a.maximum(b).op, a.minimum(b).op) == ("max", "min")
    for pair in ((Value(NAN), a), (a, Value(NAN))):
        assert math.isnan(pair[0].maximum(pair[1]).data)
        assert math.isnan(pair[0].minimum(pair[1]).data)
