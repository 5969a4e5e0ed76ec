"""Value: micrograd's contract, the graph it records, and the chain rule over it."""

import math
import random
from decimal import Decimal
from fractions import Fraction

import pytest

from descent.scalar import Value, gradcheck, topological_order


def readme_example(a, b):
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


def neuron(x1, x2, w1, w2, b):
    return (x1 * w1 + x2 * w2 + b).tanh()


def test_the_readme_example_of_micrograd():
    a, b = Value(-4.0), Value(2.0)
    g = readme_example(a, b)
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


def test_the_neuron_of_the_lecture():
    x1, x2, w1, w2, b = (Value(v) for v in (2.0, 0.0, -3.0, 1.0, 6.8813735870195432))
    o = neuron(x1, x2, w1, w2, b)
    o.backward()
    assert o.data == pytest.approx(0.7071067811865476, abs=1e-15)
    assert [v.grad for v in (x1, w1, x2, w2)] == pytest.approx([-1.5, 1.0, 0.5, 0.0], abs=1e-14)


def test_what_a_node_records():
    a, b = Value(3.0, label="a"), Value(2.0)
    y = a / b
    assert y.parents == (a, b)
    assert y.local == (0.5, -0.75)
    assert (y.op, y._op, y._prev) == ("/", "/", {a, b})
    assert (a.op, a.parents, a.label, y.label) == ("", (), "a", "")
    assert [v is w for v, w in zip((10.0 - a).parents, (None, a))] == [False, True]
    assert (2.0**a).parents[1] is a


def test_repr_is_micrograds():
    a = Value(2)
    assert repr(a) == "Value(data=2, grad=0)"
    assert repr(a * 3) == "Value(data=6, grad=0)"
    y = (a + a).relu()
    y.backward()
    assert repr(a) == "Value(data=2, grad=2)"
    assert repr(Value(-1.5).relu()) == "Value(data=0, grad=0)"
    assert f"{Value(math.pi):.3f} {a}" == "3.142 Value(data=2, grad=2)"


def test_no_room_for_misspelt_attributes():
    with pytest.raises(AttributeError):
        Value(1.0).gradd = 3


# --- the chain rule


def test_a_node_used_twice_gets_both_contributions():
    a = Value(3.0)
    (a + a).backward()
    assert a.grad == 2
    a = Value(3.0)
    (a * a * a).backward()
    assert a.grad == 27.0


def test_a_second_backward_adds_to_leaves_and_counts_nothing_twice():
    a = Value(3.0)
    b = a * a  # in between: computed afresh on each pass
    c = b * 2.0
    c.backward()
    c.backward()
    assert (a.grad, b.grad, c.grad) == (24.0, 2.0, 1)
    a.grad = 0
    (b + a).backward()
    assert (a.grad, b.grad) == (7.0, 1)
    c.zero_grad()
    assert [v.grad for v in topological_order(c)] == [0] * 4
    leaf = Value(1.0)
    leaf.backward()
    leaf.backward()
    assert leaf.grad == 2


def test_a_derivative_is_that_of_the_moment_of_computing():
    a, b = Value(2.0), Value(5.0)
    y = a * b
    b.data = 100.0
    y.backward()
    assert a.grad == 5.0


def test_topological_order():
    a, b = Value(1.0), Value(2.0)
    c = a * b
    d = (c + a) * c
    order = topological_order(d)
    assert order[0] is a
    assert order[-1] is d
    assert len(order) == len(set(order)) == 5
    place = {v: i for i, v in enumerate(order)}
    assert all(place[p] < place[v] for v in order for p in v.parents)


def test_a_chain_of_a_hundred_thousand():
    x = Value(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    y.backward()
    assert x.grad == 1
    assert y.data == pytest.approx(2.0)
    assert repr(y).startswith("Value(data=2")
    y.zero_grad()
    del y  # must not recurse either
    assert x.grad == 0


def test_a_ladder_is_walked_once_per_node_not_once_per_path():
    x = y = Value(1.0)
    for _ in range(2000):  # 2^2000 paths
        y = y + y
    y.backward()
    assert y.data == x.grad == math.inf
    y = x = Value(0.5)
    for _ in range(60):
        y = y * y + y * -0.25
    x.grad = 0
    y.backward()
    assert math.isfinite(x.grad)


def test_an_operation_of_ones_own():
    def cube(x):
        return Value(x.data**3, (x,), "cube", local=(3 * x.data**2,))

    assert gradcheck(lambda x: cube(x) * 2.0, 1.5).max_error < 1e-7
    with pytest.raises(ValueError, match="op 'two': 2 parents but 1 local"):
        Value(1.0, (Value(1.0), Value(2.0)), "two", local=(1.0,))
    bare = Value(1.0, (Value(1.0),), "bare")
    with pytest.raises(
        RuntimeError, match=r"op 'bare' was made from 1 parents without a derivative"
    ):
        (bare * 2).backward()


def test_micrograds_way_to_add_an_operation():
    def tanh(x):
        out = Value(math.tanh(x.data), (x,), "tanh")

        def _backward():
            x.grad += (1 - out.data**2) * out.grad

        out._backward = _backward
        return out

    x = Value(0.5)
    y = tanh(x * 2.0)
    y.backward()
    assert x.grad == 2.0 * (1 - math.tanh(1.0) ** 2)


def test_the_chain_rule_by_hand_one_step_at_a_time():
    a, b = Value(2.0), Value(-3.0)
    c = a * b
    d = c.tanh()
    d.grad = 1.0
    d._backward()
    c._backward()
    a._backward()  # a leaf: nothing to pass on
    assert a.grad == -3.0 * (1 - math.tanh(-6.0) ** 2)


# --- operands


@pytest.mark.parametrize("two", [2, 2.0, Fraction(2), Decimal(2)])
def test_numbers_on_either_side(two):
    v = Value(4.0)
    got = [v + two, two + v, v - two, two - v, v * two, two * v, v / two, two / v, v**two, two**v]
    assert [x.data for x in got] == [6, 6, 2, -2, 8, 8, 2, 0.5, 16, 16]
    assert all(isinstance(x, Value) for x in got)


def test_bool_is_a_number():
    assert (Value(2.5) + True).data == 3.5
    assert repr(Value(True)) == "Value(data=1, grad=0)"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Value(1.0), "a Value holds a number, not another Value"),
        ("1.5", r"got str '1\.5': convert it first, Value\(float\(text\)\)"),
        (None, "got NoneType None"),
        ([1.0, 2.0], "one Value per element"),
        (1j, "got complex 1j"),
    ],
)
def test_what_a_value_refuses_to_hold(bad, message):
    with pytest.raises(TypeError, match=message):
        Value(bad)


@pytest.mark.parametrize("bad", ["a", None, [1.0], {"a": 1}, 2j, b"x"])
def test_what_arithmetic_refuses(bad):
    v = Value(1.0)
    operations = [
        lambda: v + bad,
        lambda: bad + v,
        lambda: v - bad,
        lambda: bad - v,
        lambda: v * bad,
        lambda: bad * v,
        lambda: v / bad,
        lambda: bad / v,
        lambda: v**bad,
        lambda: bad**v,
        lambda: v.maximum(bad),
    ]
    for operation in operations:
        with pytest.raises(TypeError, match=f"expected an int, a float.*{type(bad).__name__}"):
            operation()


def test_a_foreign_type_may_answer_itself():
    class Foreign:
        def __radd__(self, other):
            return "mine"

    assert Value(1.0) + Foreign() == "mine"
    with pytest.raises(TypeError, match="unsupported operand"):
        Value(1.0) * Foreign()
    with pytest.raises(TypeError, match="not supported between"):
        assert Value(1.0) < "a"


# --- comparison, truth, conversion


def test_comparison_is_by_data_and_identity_tells_nodes_apart():
    a, b, c = Value(1.0), Value(2.0), Value(1.0)
    assert a < b
    assert b >= a
    assert a <= 1
    assert 3 > b
    assert a == c
    assert a == 1
    assert a != b
    assert a != "1.0"
    assert a is not None
    assert len({a, c, b}) == 3
    assert {a: "a", c: "c"}[c] == "c"
    assert max(a, b) is b
    assert min([b, a]) is a
    assert max(-math.inf, a) is a
    nan = Value(math.nan)
    assert nan != nan
    assert nan in {nan}


def test_truth_and_conversion():
    assert not Value(0.0)
    assert Value(-0.5)
    assert float(Value(2)) == 2.0
    assert isinstance(float(Value(2)), float)
    assert int(Value(2.9)) == 2


# --- the ends of the number line


def test_division_by_zero_is_ieee():
    zero = Value(0.0)
    assert (1 / zero).data == math.inf
    assert (-1 / zero).data == -math.inf
    assert (1 / Value(-0.0)).data == -math.inf
    assert math.isnan((zero / zero).data)
    assert math.isnan((Value(math.nan) / 0).data)
    assert (zero**-1).data == math.inf


def test_powers_stay_real():
    assert math.isnan((Value(-8.0) ** (1 / 3)).data)
    assert (Value(-10.0) ** 999).data == -math.inf
    assert (Value(-10.0) ** 1000).data == math.inf
    assert (Value(-0.0) ** -3).data == -math.inf
    assert (Value(-0.0) ** -2).data == math.inf
    assert (Value(-math.inf) ** 0.5).data == math.inf  # IEEE's pow, not its sqrt
    x = Value(0.0)
    (x**0 + x**1).backward()
    assert x.grad == 1
    assert (2 ** Value(0.0)).local == (0.0, math.log(2.0))
    assert (Value(0.0) ** Value(2.0)).local == (0, 0.0)


def test_whole_numbers_do_not_grow_without_end():
    x = Value(10)
    for _ in range(40):
        x = x * x
    assert x.data == math.inf
    assert (Value(10) ** 10**9).data == math.inf
    assert Value(10**400).data == math.inf
    assert Value(-(10**400)).data == -math.inf
    y = x = Value(1)
    for _ in range(80):
        y = y * (2**50)
    (y * 0.5).backward()
    assert x.grad == math.inf


STEPS = [
    lambda p, q: p + q,
    lambda p, q: (p * q).tanh(),
    lambda p, q: p - q,
    lambda p, q: p / (q * q + 1.0),
    lambda p, q: (p * p + 0.5) ** (q * 0.3).sin(),
    lambda p, q: 1.5 ** (p.tanh()) - 2.0 * q,
]


@pytest.mark.parametrize("seed", range(40))
def test_random_expressions_against_finite_differences(seed):
    rng = random.Random(seed)
    program = [(rng.choice(STEPS), rng.random(), rng.random()) for _ in range(12)]

    def f(a, b, c):
        pool = [a, b, c]
        for step, u, v in program:
            pool.append(step(pool[int(u * len(pool))], pool[int(v * len(pool))]))
        return pool[-1] + pool[-2]

    gradcheck(f, *(rng.uniform(-1.5, 1.5) for _ in range(3)))
