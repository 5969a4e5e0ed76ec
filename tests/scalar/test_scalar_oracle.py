"""Values against PyTorch in float64: random graphs, second passes, edges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.scalar import Value

pytestmark = pytest.mark.oracle

UNARY = [
    "exp",
    "expm1",
    "tanh",
    "sigmoid",
    "relu",
    "sin",
    "cos",
    "erf",
    "abs",
    "arctan",
    "sqrt",
    "log",
    "log1p",
]
BINARY = ["add", "sub", "mul", "div", "maximum", "minimum", "pow"]


def apply(op, a, b):
    if op == "maximum" or op == "minimum":
        return getattr(a, op)(b)
    return (
        {"add": a + b, "sub": a - b, "mul": a * b, "div": a / (b * b + 1.0)}.get(op)
        if op != "pow"
        else ((a * a + 0.5) ** (b.tanh()))
    )


def build(program, leaves):
    pool = list(leaves)
    for op, i, j in program:
        a, b = pool[i % len(pool)], pool[j % len(pool)]
        if op in ("sqrt", "log"):
            y = getattr(a * a + 0.25, op)()
        elif op == "log1p":
            y = (a * a).log1p()
        elif op in ("exp", "expm1"):
            y = getattr(a.tanh(), op)()
        elif op in UNARY:
            y = getattr(a, op)()
        else:
            y = apply(op, a, b)
        pool.append(y)
    return sum(pool[-3:])


numbers = st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3)
programs = st.lists(
    st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 50), st.integers(0, 50)),
    min_size=1,
    max_size=15,
)


@settings(max_examples=150, deadline=None)
@given(programs, st.tuples(numbers, numbers, numbers))
def test_random_graphs(program, points):
    ours = [Value(x) for x in points]
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in points]
    y, t = build(program, ours), build(program, theirs)
    assert y.data == pytest.approx(t.item(), rel=1e-11, abs=1e-11, nan_ok=True)
    if not math.isfinite(y.data):
        return
    y.backward()
    t.backward()
    for v, w in zip(ours, theirs):
        want = 0.0 if w.grad is None else w.grad.item()
        assert v.grad == pytest.approx(want, rel=1e-9, abs=1e-9)


def test_a_second_backward_is_pytorchs():
    a, t = Value(3.0), torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    for x in (a, t):
        y = (x * x).tanh() + x * x * x
        y.backward(**({} if x is a else {"retain_graph": True}))
        y.backward()
    assert a.grad == pytest.approx(t.grad.item(), rel=1e-15)


@pytest.mark.parametrize(
    "x", [0.0, -0.0, 1.0, -1.0, 2.0, -8.0, math.inf, -math.inf, math.nan, 1e308]
)
@pytest.mark.parametrize("n", [0, 1, -1, 2, 3, -2, -3, 0.75, 1 / 3, 2.5, 400])
def test_powers_at_the_edges(x, n):
    # n = 0.5 is left out: PyTorch turns it into sqrt, which is not IEEE's pow at -0 and -inf.
    v, t = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y, u = v**n, t**n
    u.backward()
    y.backward()
    assert y.data == pytest.approx(u.item(), nan_ok=True, rel=1e-15)
    assert v.grad == pytest.approx(t.grad.item(), nan_ok=True, rel=1e-15)


@pytest.mark.parametrize("x", [0.0, 2.0, 0.5, math.inf])
@pytest.mark.parametrize("n", [0.0, 1.0, -1.5, 2.0])
def test_the_derivative_by_the_exponent(x, n):
    v, t = Value(n), torch.tensor(n, dtype=torch.float64, requires_grad=True)
    base = torch.tensor(x, dtype=torch.float64)
    y, u = Value(x) ** v, base**t
    u.backward()
    y.backward()
    assert y.data == pytest.approx(u.item(), nan_ok=True)
    assert v.grad == pytest.approx(t.grad.item(), nan_ok=True)


@pytest.mark.parametrize("a", [0.0, 1.0, -2.0, math.inf, math.nan])
@pytest.mark.parametrize("b", [0.0, -0.0, 1.0, -math.inf, math.nan])
def test_quotients_at_the_edges(a, b):
    v, w = Value(a), Value(b)
    t, u = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (a, b))
    (v / w).backward()
    (t / u).backward()
    assert (v / w).data == pytest.approx((t / u).item(), nan_ok=True)
    assert v.grad == pytest.approx(t.grad.item(), nan_ok=True)
    assert w.grad == pytest.approx(u.grad.item(), nan_ok=True)
