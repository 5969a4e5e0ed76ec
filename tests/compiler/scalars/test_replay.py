"""What a function of Values does, replayed: the same numbers, the same changes to the parameters."""

import functools
import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest

from descent.compiler.scalars import ReplayWarning, replay
from descent.compiler.scalars.windows import Window
from descent.scalar import MLP, Value

EXAMPLE = Path(__file__).parents[3] / "examples" / "moons.py"
XS = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
YS = [-1.0, 1.0, 1.0, -1.0]


@pytest.fixture
def plainly(monkeypatch):
    """The written loops as plain Python: nothing is compiled, so a test is quick."""
    monkeypatch.setenv("DESCENT_COMPILE", "0")


@pytest.fixture(scope="module")
def moons():
    spec = importlib.util.spec_from_file_location("moons_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def twins(sizes, seed=7):
    """Two networks with the same weights."""
    made = []
    for _ in range(2):
        random.seed(seed)
        made.append(MLP(sizes[0], sizes[1:]))
    return made


def numbers(model):
    return np.array([(p.data, p.grad) for p in model.parameters()], dtype=float)


def same(ours, theirs, rtol=1e-12):
    np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=rtol, atol=1e-15)


def squares(model):
    return lambda xs, ys: sum((model(x) - y) ** 2 for x, y in zip(xs, ys))


def descend(model, loss, rate):
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= rate * p.grad


def test_the_moons_step_whole(moons):
    ours, theirs = twins([2, 16, 16, 1], 1337)
    X, y = moons.make_moons(100, 0.1, np.random.RandomState(1337))
    y = y * 2 - 1

    def step(model):
        def step(X, y, rate):
            loss, accuracy = moons.loss_and_accuracy(model, X, y)
            descend(model, loss, rate)
            return loss, accuracy

        return step

    replayed, plain = replay(step(ours), parameters=ours.parameters()), step(theirs)
    for k in range(4):
        (a, right), (b, truly) = (s(X, y, 1.0 - 0.9 * k / 100) for s in (replayed, plain))
        assert a.data == pytest.approx(b.data, rel=1e-12)
        assert right == truly
    same(ours, theirs)
    text = replayed.source()
    assert text.count("\n") < 250
    assert "for j in range(16):\n        for k in range(16):" in text  # the 256 weights: one loop


def test_the_loss_alone_and_the_rest_of_the_loop_as_it_was(plainly):
    ours, theirs = twins([2, 4, 1])
    loss = replay(squares(ours), parameters=ours.parameters())
    for _ in range(3):
        a, b = loss(XS, YS), squares(theirs)(XS, YS)
        assert a.data == pytest.approx(b.data, rel=1e-12)
        descend(ours, a, 0.05)
        descend(theirs, b, 0.05)
    same(ours, theirs)


def test_gradients_add_up_until_zero_grad(plainly):
    ours, theirs = twins([2, 3, 1])
    loss = replay(squares(ours), parameters=ours.parameters())
    for _ in range(2):
        (loss(XS, YS) * 3).backward()
        (squares(theirs)(XS, YS) * 3).backward()
    same(ours, theirs)

    def step(model):
        return lambda xs, ys: squares(model)(xs, ys).backward()

    inside = replay(step(ours), parameters=ours.parameters())
    for _ in range(2):
        inside(XS, YS)
        step(theirs)(XS, YS)
    same(ours, theirs)


def test_a_loss_per_point_and_arrays_out(plainly):
    ours, theirs = twins([2, 3, 1])

    def f(model):
        return lambda X: {"scores": [model(x) for x in X], "two": np.array([model(X[0]) + 1] * 2)}

    a, b = replay(f(ours), parameters=ours.parameters())(np.array(XS)), f(theirs)(np.array(XS))
    assert [v.data for v in a["scores"]] == pytest.approx([v.data for v in b["scores"]], rel=1e-12)
    assert a["two"].shape == (2,)
    assert a["two"][1].data == pytest.approx(b["two"][1].data)
    with pytest.raises(RuntimeError, match="inside the replayed function"):
        a["scores"][0].backward()


def test_the_demos_closure_without_arguments(plainly):
    """micrograd's demo reads its data from around it: constants, still loops."""
    ours, theirs = twins([2, 4, 1])
    X = np.array(XS * 8) + np.random.RandomState(0).normal(size=(32, 2)) * 0.1

    def f(model):
        def loss():
            scores = [model(list(map(Value, row))) for row in X]
            return sum((1 + -y * s).relu() for y, s in zip(YS * 8, scores)) * (1.0 / len(scores))

        return loss

    a = replay(f(ours), parameters=ours.parameters())
    for _ in range(2):
        one, two = a(), f(theirs)()
        assert one.data == pytest.approx(two.data, rel=1e-12)
        descend(ours, one, 0.1)
        descend(theirs, two, 0.1)
    same(ours, theirs)
    assert a.source().count("\n") < 200


def test_wide_layers_are_loops_too(plainly):
    ours, theirs = twins([2, 30, 30, 1])

    def step(model):
        return lambda xs, ys, rate: descend(model, squares(model)(xs, ys), rate)

    replayed, plain = replay(step(ours), parameters=ours.parameters()), step(theirs)
    for _ in range(2):
        replayed(XS, YS, 0.001)
        plain(XS, YS, 0.001)
    same(ours, theirs, 1e-11)
    assert "for t in range(30):" in replayed.source()
    assert replayed.source().count("\n") < 150


def test_irregular_graphs_are_told_to_be_too_long(plainly):
    w = Value(0.1)
    deep = replay(
        lambda x: functools.reduce(lambda h, k: (h * w + k * x).tanh(), range(700), w),
        parameters=[w],
    )
    with pytest.warns(ReplayWarning, match="lines of loops"):
        deep(0.5).backward()


def test_a_recurrent_sum_over_rows(plainly):
    """Each row needs the one before: no loop over rows, the same numbers."""
    w, u = Value(0.5), Value(0.5)

    def f(w):
        def run(xs):
            h = 0.0
            for x in xs:
                h = (w * x + h * w).tanh()
            return h

        return run

    xs = [0.3, -0.2, 0.9, 0.1]
    a, b = replay(f(w), parameters=[w])(xs), f(u)(xs)
    a.backward()
    b.backward()
    assert (a.data, w.grad) == pytest.approx((b.data, u.grad), rel=1e-12)


def test_shared_rows_and_single_rows(plainly):
    """Softmax over the batch, and one row treated apart."""
    ours, theirs = twins([2, 3, 1])

    def f(model):
        def loss(xs, k):
            e = [model(x).exp() for x in xs]
            total = sum(e)
            p = [v / total for v in e]
            return -(p[2].log()) + p[0] * k - xs[1][0] * p[1]

        return loss

    loss = replay(f(ours), parameters=ours.parameters())
    for k in (1.0, 2.5):
        a, b = loss(XS, k), f(theirs)(XS, k)
        assert a.data == pytest.approx(b.data, rel=1e-12)
        descend(ours, a, 0.05)
        descend(theirs, b, 0.05)
    same(ours, theirs, 1e-11)


def test_other_shapes_are_recorded_anew(plainly):
    ours, theirs = twins([2, 3, 1])
    loss = replay(squares(ours), parameters=ours.parameters())
    for n in (4, 2, 1, 4):
        assert loss(XS[:n], YS[:n]).data == pytest.approx(squares(theirs)(XS[:n], YS[:n]).data)


def test_momentum_kept_in_values(plainly):
    """Whatever is a Value can be a parameter: the state of an optimiser too."""
    ours, theirs = twins([2, 3, 1])

    def f(model, speed):
        def step(xs, ys):
            loss = squares(model)(xs, ys)
            model.zero_grad()
            loss.backward()
            for p, v in zip(model.parameters(), speed):
                v.data = 0.9 * v.data + p.grad
                p.data -= 0.02 * v.data
            return loss.data

        return step

    speeds = [[Value(0.0) for _ in ours.parameters()] for _ in range(2)]
    a = replay(f(ours, speeds[0]), parameters=[*ours.parameters(), *speeds[0]])
    b = f(theirs, speeds[1])
    for _ in range(3):
        assert a(XS, YS) == pytest.approx(b(XS, YS), rel=1e-12)
    same(ours, theirs)


def test_held_parameters_live_in_an_array(plainly):
    ours, theirs = twins([2, 3, 1])

    def f(model):
        return lambda xs, ys: descend(model, squares(model)(xs, ys), 0.05)

    step, plain = replay(f(ours), parameters=ours.parameters()), f(theirs)
    with step.hold():
        for _ in range(3):
            step(XS, YS)
            plain(XS, YS)
        assert type(ours.parameters()[0]) is Window
        same(ours, theirs)
        ours.parameters()[0].data = 2.0
        assert step.data[0] == 2.0
        assert squares(ours)(XS, YS).data > 0  # the engine works on windows as on Values
        with pytest.raises(RuntimeError, match="already"), step.hold():
            pass
        theirs.parameters()[0].data = 2.0
    assert type(ours.parameters()[0]) is Value
    step(XS, YS)
    plain(XS, YS)
    same(ours, theirs)


def test_a_custom_operation(plainly):
    def cube(x):
        return Value(x.data**3, (x,), "cube", local=(3 * x.data**2,))

    def by_closure(x):
        out = Value(x.data * 5, (x,), "five")

        def backward():
            x.grad += 5 * out.grad

        out._backward = backward
        return out

    w, u = Value(1.5), Value(1.5)
    for v, f in (
        (w, replay(lambda x: by_closure(cube(w * x)), parameters=[w])),
        (u, lambda x: by_closure(cube(u * x))),
    ):
        f(2.0).backward()
        assert v.grad == pytest.approx(3 * (1.5 * 2) ** 2 * 2 * 5)


def test_parameters_come_back_as_they_were_and_types_are_plain(plainly):
    ours, _ = twins([2, 3, 1])
    before = numbers(ours)
    loss = replay(squares(ours), parameters=ours.parameters())
    a = loss(XS, YS)
    assert (numbers(ours) == before).all()
    assert {type(p) for p in ours.parameters()} == {Value}
    assert {type(p.data) for p in ours.parameters()} <= {float, int}
    assert (type(a), type(a.data)) == (Value, float)
    assert a.op == "replay"


def test_bad_parameters():
    w = Value(1.0)
    with pytest.raises(TypeError, match="plain Values"):
        replay(lambda: w, parameters=[w * 2])
    with pytest.raises(ValueError, match="twice"):
        replay(lambda: w, parameters=[w, w])
    with pytest.raises(RuntimeError, match="nothing is recorded"):
        replay(lambda: w, parameters=[w]).source()
