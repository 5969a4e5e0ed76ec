"""What a replay could not do right is told with its line, and runs plainly with the right result."""

import math
import random

import numpy as np
import pytest

from descent.compiler.scalars import ReplayWarning, replay
from descent.scalar import Value

OTHER = Value(3.0, label="other")


@pytest.fixture(autouse=True)
def plainly(monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")


def refused(function, *args, parameters=(), match):
    """Warned once, the same result as plainly, and again without a warning."""
    replayed = replay(function, parameters=parameters)
    with pytest.warns(ReplayWarning, match=match) as caught:
        first = replayed(*args)
    assert caught[0].filename == __file__  # the line of the call
    assert replayed(*args) == first == function(*args)


def branch_on_data(x):
    y = Value(x) * 2
    if y.data > 0:  # the branch
        return y.data
    return 0.0


def branch_on_a_value(x):
    y = Value(x) * 2
    return y.data if y > 1 else -y.data


def largest(xs):
    return max(Value(x) for x in xs).data


def libm(x):
    return math.exp((Value(x) * 2).data)


def printed(x):
    return f"{(Value(x) * 2).data:.3f}"


def counted(x):
    return sum(1.0 for _ in range(int(x)))


def indexed(x):
    return [1.0, 2.0, 3.0][x]


def test_branches_and_needs_of_the_number_name_their_line():
    refused(
        branch_on_data, 1.5, match=r"test_refusals.py:\d+: `if y.data > 0:  # the branch`: branch"
    )
    refused(branch_on_a_value, 1.5, match=r"`return y.data if y > 1 else -y.data`: branches")
    refused(largest, [1.0, 3.0, 2.0], match="`return max")
    refused(libm, 1.5, match=r"`return math.exp.*needs")
    refused(printed, 1.5, match="needs the number itself")
    refused(counted, 3, match="needs the number itself")
    refused(indexed, 2, match="needs the number itself")


def test_a_branch_deep_in_the_engine_names_the_users_line():
    refused(lambda x: bool(Value(x)), 1.5, match="bool")


def test_random_draws():
    state = random.getstate()
    f = replay(lambda x: x * random.random())
    with pytest.warns(ReplayWarning, match="random numbers"):
        first = f(2.0)
    random.setstate(state)
    assert first == 2.0 * random.random()
    g = replay(lambda x: x * np.random.rand())
    with pytest.warns(ReplayWarning, match="random numbers"):
        g(2.0)


def test_a_value_that_is_no_parameter():
    refused(lambda x: (OTHER * x).data, 2.0, match="'other'.*parameters=")
    w = Value(2.0)
    f = replay(lambda x: OTHER * (w * x), parameters=[w])
    with pytest.warns(ReplayWarning, match="'other'"):
        y = f(1.5)
    assert type(OTHER) is Value
    y.backward()
    assert (OTHER.grad, w.grad) == (3.0, 4.5)
    OTHER.grad = 0
    refused(lambda x: ((OTHER * 2) * x).data, 2.0, match="parameters=")


def test_arguments():
    w = Value(2.0)
    f = replay(lambda v: v * w, parameters=[w])
    with pytest.warns(ReplayWarning, match="argument 0 is a Value"):
        assert f(Value(3.0)).data == 6.0
    g = replay(lambda rows: rows.append(1.0) or sum(rows) * 1.0)
    with pytest.warns(ReplayWarning, match="changes its argument 0"):
        assert g([1.0, 2.0]) == 4.0
    h = replay(lambda d: d["a"] * 2)
    with pytest.warns(ReplayWarning, match="unhashable"):
        assert h({"a": 2.0}) == 4.0
    assert replay(lambda x, how: x * 2 if how == "twice" else x)(3.0, "twice") == 6.0


def test_a_users_own_error_stays_the_users_error():
    w = Value(2.0)

    def wrong(x):
        return w * x[5]

    f = replay(wrong, parameters=[w])
    with (
        pytest.warns(ReplayWarning, match=r"`return w \* x\[5\]`: IndexError"),
        pytest.raises(IndexError),
    ):
        f([1.0, 2.0])
    assert (type(w), w.data, w.grad) == (Value, 2.0, 0)


def test_ragged_lists_run_plainly():
    refused(lambda rows: sum(sum(r) for r in rows), [[1.0], [2.0, 3.0]], match="unhashable")
