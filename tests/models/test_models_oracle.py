"""The recurrent cells and the causal convolution beside PyTorch's, on the same weights."""

import numpy as np
import pytest
import torch

import descent as dc
from descent.models.cnn import CausalConv
from descent.models.rnn import RNN, RNNConfig

pytestmark = pytest.mark.oracle


def to_torch(tensor):
    return torch.from_numpy(tensor.detach().numpy().copy())


def states_of(model, idx):
    """What the head is fed, [B, T, H]."""
    seen = []
    model.lm_head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with dc.no_grad():
        model(idx)
    return to_torch(seen[0])


@pytest.mark.parametrize(("cell", "theirs"), [("rnn", torch.nn.RNN), ("lstm", torch.nn.LSTM)])
def test_cells_equal_pytorchs(cell, theirs):
    dc.manual_seed(1)
    model = RNN(RNNConfig(vocab_size=9, n_embd=5, n_hidden=6, cell=cell))
    dc.nn.init.normal_(model.start)
    idx = dc.randint(9, (3, 7))
    oracle = theirs(5, 6, batch_first=True)
    with torch.no_grad():
        oracle.weight_ih_l0.copy_(to_torch(model.cell.inputs.weight))
        oracle.bias_ih_l0.copy_(to_torch(model.cell.inputs.bias))
        oracle.weight_hh_l0.copy_(to_torch(model.cell.state.weight))
        oracle.bias_hh_l0.zero_()
        start = [s.expand(1, 3, 6).contiguous() for s in to_torch(model.start)]
        x = to_torch(model.wte(idx))
        expected, _ = oracle(x, start[0] if cell == "rnn" else tuple(start))
    torch.testing.assert_close(states_of(model, idx), expected)


def test_gru_is_the_papers():
    dc.manual_seed(2)
    model = RNN(RNNConfig(vocab_size=9, n_embd=5, n_hidden=6, cell="gru"))
    dc.nn.init.normal_(model.start)
    idx = dc.randint(9, (3, 7))
    w, b = to_torch(model.cell.inputs.weight), to_torch(model.cell.inputs.bias)
    u, c = to_torch(model.cell.state.weight), to_torch(model.cell.candidate.weight)
    x, h = to_torch(model.wte(idx)), to_torch(model.start).expand(3, 6)
    expected = []
    for t in range(7):
        z = torch.sigmoid(x[:, t] @ w[:6].T + b[:6] + h @ u[:6].T)
        r = torch.sigmoid(x[:, t] @ w[6:12].T + b[6:12] + h @ u[6:].T)
        new = torch.tanh(x[:, t] @ w[12:].T + b[12:] + (r * h) @ c.T)
        h = (1 - z) * h + z * new
        expected.append(h)
    torch.testing.assert_close(states_of(model, idx), torch.stack(expected, 1))


@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (2, 1), (2, 4), (3, 2)])
def test_causal_convolution_equals_pytorchs(kernel_size, dilation):
    dc.manual_seed(3)
    conv = CausalConv(4, 6, kernel_size, dilation)
    x = dc.randn(2, 9, 4)
    weight = to_torch(conv.taps.weight).reshape(6, kernel_size, 4).permute(0, 2, 1)  # out in K
    padded = torch.nn.functional.pad(
        to_torch(x).permute(0, 2, 1), ((kernel_size - 1) * dilation, 0)
    )
    expected = torch.nn.functional.conv1d(
        padded, weight, to_torch(conv.taps.bias), dilation=dilation
    )
    torch.testing.assert_close(to_torch(conv(x)), expected.permute(0, 2, 1))


def test_bag_of_words_averages():
    from descent.models.bow import BoW, BoWConfig

    dc.manual_seed(4)
    model = BoW(BoWConfig(vocab_size=9, block_size=6, n_embd=4, n_hidden=5))
    idx = dc.randint(9, (2, 6))
    x = to_torch(model.wte(idx)) + to_torch(model.wpe.weight)
    x = x + torch.stack([x[:, : t + 1].mean(1) for t in range(6)], 1)
    fc, proj, head = (
        (to_torch(layer.weight), to_torch(layer.bias))
        for layer in (model.c_fc, model.c_proj, model.lm_head)
    )
    linear = torch.nn.functional.linear
    x = x + linear(torch.tanh(linear(x, *fc)), *proj)
    torch.testing.assert_close(to_torch(model(idx)[0]), linear(x, *head))
    assert np.isfinite(x.numpy()).all()
