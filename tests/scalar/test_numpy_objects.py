"""The second use: plain loops over NumPy arrays, run on object arrays of Value."""

import math

import numpy as np
import pytest

from descent.scalar import Value, gradcheck

SCALARS = [np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_]
BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("op", BINARY)
def test_numpy_scalars_on_either_side(op, scalar):
    f, two, v = BINARY[op], scalar(1), Value(0.5)
    for got, want in ((f(v, two), f(0.5, 1.0)), (f(two, v), f(1.0, 0.5))):
        assert type(got) is Value
        assert got.data == want
        assert type(got.data) is float
        assert v in set(got.parents)


@pytest.mark.parametrize("scalar", SCALARS)
def test_comparison_with_numpy_scalars(scalar):
    one, v = scalar(1), Value(0.5)
    assert v < one
    assert one > v
    assert v <= one
    assert one >= v
    assert not v == one
    assert one != v
    assert max(one, v) is one
    assert min(one, v) is v


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_value_holds_a_plain_number(scalar):
    assert type(Value(scalar(1)).data) in (int, float)
    assert Value(np.float32(0.1)).data == float(np.float32(0.1))


UNARY = (
    "exp exp2 expm1 log log1p log2 log10 sqrt tanh sin cos tan sinh cosh arctan arcsin arccos "
    "abs absolute square reciprocal negative positive"
).split()


@pytest.mark.parametrize("name", UNARY)
def test_numpy_functions_call_the_methods(name):
    function, v = getattr(np, name), Value(0.5)
    y = function(v)
    assert type(y) is Value
    assert y.data == pytest.approx(float(function(0.5)), rel=1e-15)
    gradcheck(lambda x: function(x) * 1.0, 0.5)
    assert function(np.array([v], dtype=object))[0].data == y.data


def test_numpy_functions_of_two():
    a, b = Value(2.0), Value(3.0)
    assert np.maximum(a, b) is b
    assert np.minimum(a, b) is a
    assert np.maximum(-np.inf, a) is a
    assert np.maximum(a, 0.0) is a
    assert np.power(a, b).data == 8.0
    assert np.power(a, 2).op == "**2"
    assert np.add(a, b).parents == (a, b)
    assert np.multiply(2.0, a).data == 4.0


def test_arrays_broadcast_over_a_value():
    v, xs = Value(2.0), np.array([1.0, 2.0, 3.0])
    for ys, want in (
        (v * xs, [2, 4, 6]),
        (xs * v, [2, 4, 6]),
        (v - xs, [1, 0, -1]),
        (xs**v, [1, 4, 9]),
    ):
        assert [y.data for y in ys] == want
    objects = np.array([v, Value(5.0)], dtype=object)
    assert [y.data for y in objects * v] == [4.0, 10.0]
    assert [y.data for y in v + objects] == [4.0, 7.0]
    assert objects.sum().data == 7.0
    assert objects.max() is objects[1]
    assert (objects @ objects).data == 29.0
    assert (v < xs).tolist() == [False, False, True]
    zero_d = np.array(3.0) * v
    assert zero_d.data == 6.0
    with pytest.raises(TypeError, match="one Value per element"):
        Value(xs)


def softmax(x, y):
    for r in range(x.shape[0]):
        top = -np.inf
        for c in range(x.shape[1]):
            top = max(top, x[r, c])
        total = 0.0
        for c in range(x.shape[1]):
            y[r, c] = np.exp(x[r, c] - top)
            total += y[r, c]
        for c in range(x.shape[1]):
            y[r, c] /= total


def layernorm(x, w, b, y):
    n = x.shape[1]
    for r in range(x.shape[0]):
        mean = np.float32(0)
        for c in range(n):
            mean += x[r, c]
        mean = mean / n
        var = np.float64(0)
        for c in range(n):
            var += (x[r, c] - mean) ** 2
        scale = 1.0 / np.sqrt(var / n + 1e-5)
        for c in range(n):
            y[r, c] = (x[r, c] - mean) * scale * w[c] + b[c]


def objects(values, shape):
    array = np.empty(shape, dtype=object)
    array.flat[:] = list(values)
    return array


def test_a_softmax_loop_is_differentiated():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 4)), rng.normal(size=(2, 4))

    def loss(*values):
        y = np.zeros((2, 4), dtype=object)
        softmax(objects(values, (2, 4)), y)
        return (y * dy).sum()

    gradcheck(loss, *x.flat)

    values = [Value(v) for v in x.flat]
    loss(*values).backward()
    p = np.zeros((2, 4))
    softmax(x, p)
    assert p.sum(axis=1) == pytest.approx(1.0)
    dx = p * (dy - (dy * p).sum(axis=1, keepdims=True))
    assert np.max(np.abs(dx.ravel() - [v.grad for v in values])) < 1e-15


def test_a_layernorm_loop_is_differentiated():
    rng = np.random.default_rng(1)
    x, w, b, dy = (
        rng.normal(size=(2, 5)),
        rng.normal(size=5),
        rng.normal(size=5),
        rng.normal(size=(2, 5)),
    )

    def loss(*values):
        y = np.zeros((2, 5), dtype=object)
        layernorm(objects(values[:10], (2, 5)), values[10:15], values[15:], y)
        return (y * dy).sum()

    gradcheck(loss, *x.flat, *w, *b)
    y = np.zeros((2, 5))
    layernorm(x, w, b, y)
    got = loss(*(Value(v) for v in (*x.flat, *w, *b)))
    assert got.data == pytest.approx((y * dy).sum(), rel=1e-14)


def test_assignment_in_place_keeps_the_graph():
    a = np.zeros(3, dtype=object)
    v = Value(2.0)
    a[0] += v
    a[0] += np.float32(0.5) * v
    a[1] = max(a[1], v)
    assert a[0].data == 3.0
    a[0].backward()
    assert v.grad == 1.5
    assert a[1] is v
    assert a[2] == 0


def test_float_cuts_the_graph():
    v = Value(2.0)
    assert type(math.exp(v)) is float
    assert np.array([v], dtype=np.float64)[0] == 2.0
