"""Recurrent cells and networks against PyTorch's."""

import itertools

import numpy as np
import pytest

import descent
from descent import nn
from tests.nn.peers import build, same_results, same_weights


def x(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("lead", [(2,), ()])
def test_cells(name, bias, given, lead):
    ours, theirs = build(lambda n: getattr(n, name)(3, 4, bias=bias))
    same_weights(ours, theirs)
    assert repr(ours) == repr(theirs)
    h = x(*lead, 4, seed=1)
    if name == "LSTMCell":
        h = (h, x(*lead, 4, seed=2))
    same_results(ours, theirs, x(*lead, 3), *([h] if given else []))


@pytest.mark.oracle
def test_relu_cell():
    ours, theirs = build(lambda n: n.RNNCell(3, 4, nonlinearity="relu"))
    same_results(ours, theirs, x(2, 3))


OPTIONS = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3},
    {"bidirectional": True, "batch_first": True},
]


@pytest.mark.oracle
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    ("name", "options"), list(itertools.product(["RNN", "GRU", "LSTM"], OPTIONS))
)
def test_networks(name, options, given):
    ours, theirs = build(lambda n: getattr(n, name)(3, 4, **options))
    same_weights(ours, theirs)
    assert repr(ours) == repr(theirs)
    states = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    h = x(states, 2, 4, seed=1)
    if name == "LSTM":
        h = (h, x(states, 2, 4, seed=2))
    shape = (2, 5, 3) if options.get("batch_first") else (5, 2, 3)
    same_results(ours, theirs, x(*shape), *([h] if given else []))


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_without_a_batch(name):
    ours, theirs = build(lambda n: getattr(n, name)(3, 4, 2))
    h = x(2, 4, seed=1)
    same_results(ours, theirs, x(5, 3), (h, x(2, 4, seed=3)) if name == "LSTM" else h)


@pytest.mark.oracle
def test_dropout_between_layers_draws_torchs_masks():
    ours, theirs = build(lambda n: n.GRU(3, 4, 3, dropout=0.4))
    same_results(ours, theirs, x(5, 2, 3))
    ours.zero_grad()
    theirs.zero_grad()
    same_results(ours.eval(), theirs.eval(), x(5, 2, 3))


@pytest.mark.oracle
def test_relu_network():
    ours, theirs = build(lambda n: n.RNN(3, 4, 2, "relu"))
    same_results(ours, theirs, x(5, 2, 3))
    ours, theirs = build(lambda n: n.RNN(3, 4, nonlinearity="relu"))
    same_results(ours, theirs, x(5, 2, 3))


def test_a_network_is_its_cells_in_a_row():
    descent.manual_seed(0)
    net, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in net.state_dict().items()})
    sequence = descent.tensor(x(6, 2, 3).astype(np.float32))
    y, (h, c) = net(sequence)
    state = None
    for t in range(6):
        state = cell(sequence[t], state)
        np.testing.assert_allclose(state[0].tolist(), y[t].tolist(), atol=1e-6)
    np.testing.assert_allclose(h[0].tolist(), state[0].tolist(), atol=1e-6)
    np.testing.assert_allclose(c[0].tolist(), state[1].tolist(), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.RNN(3, 0), ValueError, "hidden_size"),
        (lambda: nn.RNN(3, 4, 0), ValueError, "num_layers"),
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), ValueError, "'tanh' or 'relu'"),
        (lambda: nn.GRU(3, 4, dropout=2), ValueError, "range"),
        (lambda: nn.GRU(3, 4)(descent.zeros(2, 2, 5)), RuntimeError, "Expected 3, got 5"),
        (lambda: nn.GRU(3, 4)(descent.zeros(3)), ValueError, "2D or 3D"),
        (lambda: nn.GRU(3, 4)(descent.zeros(5, 2, 3), descent.zeros(1, 1, 4)), RuntimeError, "hidden"),
        (lambda: nn.GRUCell(3, 4)(descent.zeros(2, 5)), RuntimeError, "got 5 expected 3"),
        (lambda: nn.GRUCell(3, 4)(descent.zeros(2, 3), descent.zeros(2, 3)), RuntimeError, "state"),
        (lambda: nn.GRUCell(3, 4)(descent.zeros(2, 2, 3)), ValueError, "1D or 2D"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="x"), RuntimeError, "Unknown nonlinearity"),
    ],
)  # fmt: skip
def test_wrong_use_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
