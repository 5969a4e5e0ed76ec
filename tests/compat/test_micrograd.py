"""Code written for micrograd runs after changing the import line."""

import random

import pytest
import torch

from descent.compat.micrograd import nn
from descent.compat.micrograd.engine import Value
from descent.compat.micrograd.nn import MLP, Layer, Module, Neuron

pytestmark = pytest.mark.oracle


def both(build, *points):
    """(value, gradients) by Value and by torch for the same expression."""
    results = []
    for make in (Value, lambda x: torch.tensor(x, dtype=torch.float64, requires_grad=True)):
        leaves = [make(x) for x in points]
        y = build(*leaves)
        y.backward()
        results.append([float(y.data), *(float(v.grad) for v in leaves)])
    return results


def test_sanity_check():
    def build(x):
        z = 2 * x + 2 + x
        q = z.relu() + z * x
        h = (z * z).relu()
        return h + q + q * x

    ours, theirs = both(build, -4.0)
    assert ours == theirs


def test_more_ops():
    def build(a, b):
        c = a + b
        d = a * b + b**3
        c = c + (c + 1)
        c = c + (1 + c + (-a))
        d = d + (d * 2 + (b + a).relu())
        d = d + (3 * d + (b - a).relu())
        f = (c - d) ** 2
        return f / 2.0 + 10.0 / f

    ours, theirs = both(build, -4.0, 2.0)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours == pytest.approx([24.7041, 138.8338, 645.5773], abs=5e-5)


def trace(root):
    """The graph walk of the trace notebook: recursive, by `_prev`, into sets."""
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def test_the_trace_notebook():
    x = Value(1.0)
    y = (x * 2 + 1).relu()
    y.backward()
    nodes, edges = trace(y)
    assert (len(nodes), len(edges)) == (6, 5)
    assert sorted(n._op for n in nodes) == ["", "", "", "*", "+", "ReLU"]
    labels = {"{ data %.4f | grad %.4f }" % (n.data, n.grad) for n in nodes}  # noqa: UP031
    assert "{ data 3.0000 | grad 1.0000 }" in labels
    assert "{ data 1.0000 | grad 2.0000 }" in labels


def test_a_neuron_and_the_training_loop_of_the_demo():
    random.seed(1337)
    n = nn.Neuron(2)
    y = n([Value(1.0), Value(-2.0)])
    y.backward()
    assert [type(v) for v in (n, *n.parameters())] == [Neuron, Value, Value, Value]
    model = MLP(3, [4, 4, 1])
    assert isinstance(model, Module)
    assert isinstance(model.layers[0], Layer)
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    losses = []
    for _ in range(30):
        loss = sum((model(x) - y) ** 2 for x, y in zip(xs, ys))
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data += -0.01 * p.grad
        losses.append(loss.data)
    assert losses[-1] < 0.6 * losses[0]


def test_the_lectures_constructor():
    a = Value(2.0, label="a")
    b = Value(-3.0, (), "", "b")
    c = Value(a.data + b.data, _children=(a, b), _op="+")
    assert (c._op, c._prev, a.label, b.label) == ("+", {a, b}, "a", "b")
