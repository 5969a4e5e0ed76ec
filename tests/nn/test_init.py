"""Initial values: the same stream as PyTorch's, the right spread."""

import math

import numpy as np
import pytest

import descent
from descent import nn
from descent.nn import init

CASES = {
    "uniform_": [{}, {"a": -2.0, "b": 3.0}],
    "normal_": [{}, {"mean": 1.0, "std": 0.02}],
    "trunc_normal_": [{}, {"std": 0.02}, {"std": 3.0}, {"mean": 0.5, "a": 0.0, "b": 0.6}],
    "constant_": [{"val": 0.3}],
    "ones_": [{}],
    "zeros_": [{}],
    "eye_": [{}],
    "xavier_uniform_": [{}, {"gain": 2.0}],
    "xavier_normal_": [{}, {"gain": 0.5}],
    "kaiming_uniform_": [{}, {"a": 1.0, "mode": "fan_out"}, {"nonlinearity": "relu"}],
    "kaiming_normal_": [{}, {"a": 1.0, "mode": "fan_out"}, {"nonlinearity": "tanh"}],
    "sparse_": [{"sparsity": 0.3}],
    "orthogonal_": [{}, {"gain": 2.0}],
    "dirac_": [{}, {"groups": 2}],
}
ALL = [(name, options) for name, several in CASES.items() for options in several]


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(7, 5), (3, 40), (6, 4, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), ALL, ids=lambda x: str(x))
def test_same_seed_same_numbers(name, options, dtype, shape):
    import torch

    if (name in ("eye_", "sparse_")) == (len(shape) == 3) and name in ("eye_", "sparse_", "dirac_"):
        shape = (9, 4)
    if name == "dirac_":
        shape = (6, 4, 3)
    descent.manual_seed(3)
    ours = descent.zeros(*shape, dtype=getattr(descent, dtype))
    assert getattr(init, name)(ours, **options) is ours
    torch.manual_seed(3)
    theirs = torch.zeros(*shape, dtype=getattr(torch, dtype))
    getattr(torch.nn.init, name)(theirs, **options)
    if name == "orthogonal_":
        tol = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=tol, atol=tol)
    else:
        assert (ours.numpy() == theirs.numpy()).all()
    assert float(descent.rand(1)) == float(torch.rand(1))


@pytest.mark.oracle
def test_gains():
    import torch

    for name in ["linear", "conv1d", "conv_transpose2d", "sigmoid", "tanh", "relu", "selu"]:
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    for slope in (None, 0, 0.2):
        assert init.calculate_gain("leaky_relu", slope) == torch.nn.init.calculate_gain(
            "leaky_relu", slope
        )


def test_orthogonal_is():
    w = init.orthogonal_(descent.zeros(4, 9, dtype=descent.float64))
    np.testing.assert_allclose(w.numpy() @ w.numpy().T, np.eye(4), atol=1e-12)


def test_truncated_stays_inside():
    for options in ({"std": 5.0}, {"mean": 3.0}):
        w = init.trunc_normal_(descent.zeros(1000), **options).numpy()
        assert w.min() >= -2
        assert w.max() <= 2
        assert w.std() > 0.1


def test_kaiming_keeps_the_size_of_signals():
    descent.manual_seed(0)
    x = descent.randn(500, 400)
    for _ in range(5):
        w = init.kaiming_normal_(descent.zeros(400, 400), nonlinearity="relu")
        x = nn.functional.relu(x @ w.T)
    assert 0.5 < math.sqrt(float((x * x).mean())) < 2


def test_a_generator_can_be_given():
    g = descent.Generator().manual_seed(5)
    a = init.normal_(descent.zeros(3), generator=g)
    b = init.normal_(descent.zeros(3), generator=descent.Generator().manual_seed(5))
    assert a.tolist() == b.tolist()


def test_parameters_are_written_and_stay_leaves():
    p = nn.Parameter(descent.zeros(3, 3))
    y = (p * p).sum()
    init.ones_(p)
    assert p.is_leaf
    assert p.sum().item() == 9
    with pytest.raises(RuntimeError, match="in-place"):
        y.backward()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: init.xavier_uniform_(descent.zeros(3)), "fewer than 2 dimensions"),
        (lambda: init.kaiming_normal_(descent.zeros(3, 3), mode="fan"), "not supported"),
        (lambda: init.calculate_gain("softmax"), "known are"),
        (lambda: init.calculate_gain("leaky_relu", "x"), "not a valid number"),
        (lambda: init.eye_(descent.zeros(3)), "2 dimensions"),
        (lambda: init.sparse_(descent.zeros(3), 0.1), "2 dimensions"),
        (lambda: init.orthogonal_(descent.zeros(3)), "2 or more"),
        (lambda: init.dirac_(descent.zeros(3, 3)), "3, 4, or 5"),
        (lambda: init.dirac_(descent.zeros(3, 3, 3), groups=2), "divisible"),
    ],
)
def test_wrong_use_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_nothing_to_initialise_warns():
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_uniform_(descent.zeros(0, 3))
    with pytest.warns(UserWarning, match="more than 2 std"):
        init.trunc_normal_(descent.zeros(3), mean=5.0)
