"""Clipping and vectors of parameters."""

import math

import numpy as np
import pytest

import descent
from descent import nn
from descent.nn import utils


def model():
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    rng = np.random.default_rng(0)
    for p in net.parameters():
        p.grad = descent.tensor(rng.standard_normal(p.shape).astype(np.float32))
    return net


@pytest.mark.oracle
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("limit", [0.5, 1e9])
def test_norm_equals_torch(norm_type, limit):
    import torch

    net = model()
    peers = [torch.nn.Parameter(torch.tensor(p.detach().numpy())) for p in net.parameters()]
    for q, p in zip(peers, net.parameters()):
        q.grad = torch.tensor(p.grad.numpy())
    norm = utils.clip_grad_norm_(net.parameters(), limit, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(peers, limit, norm_type)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-6)
    for q, p in zip(peers, net.parameters()):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)


def test_clipped_norm_is_the_limit():
    net = model()
    before = utils.clip_grad_norm_(net.parameters(), 0.5).item()
    assert before > 0.5
    assert utils.get_total_norm([p.grad for p in net.parameters()]).item() == pytest.approx(0.5)


def test_one_tensor_and_missing_gradients():
    p = nn.Parameter(descent.ones(3))
    assert utils.clip_grad_norm_(p, 1.0).item() == 0
    p.grad = descent.tensor([3.0, 0.0, 4.0])
    assert utils.clip_grad_norm_(p, 1.0).item() == 5
    assert p.grad.tolist() == pytest.approx([0.6, 0, 0.8])


def test_not_finite():
    p = nn.Parameter(descent.ones(2))
    p.grad = descent.tensor([math.nan, 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert math.isnan(utils.clip_grad_norm_([p], 1.0).item())
    p.grad = descent.tensor([math.inf, 1.0])
    assert utils.clip_grad_norm_([p], 1.0).item() == math.inf
    assert p.grad.tolist()[1] == 0


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf])
@pytest.mark.parametrize("limit", [0.5, 1e9])
def test_out_of_ops_as_a_capture_sees_it(norm_type, limit):
    from descent.nn.utils.clipping import _clip_in_ops

    net, twin = model(), model()
    expected = utils.clip_grad_norm_(net.parameters(), limit, norm_type)
    norm = _clip_in_ops(list(twin.parameters()), limit, norm_type, True)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-6)
    for p, q in zip(net.parameters(), twin.parameters()):
        np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=1e-6)
    next(twin.parameters()).grad.fill_(math.inf)
    with pytest.raises(RuntimeError, match="non-finite"):
        _clip_in_ops(list(twin.parameters()), limit, norm_type, True)
    assert _clip_in_ops([], limit, norm_type, True).item() == 0


def test_value():
    p = nn.Parameter(descent.ones(3))
    p.grad = descent.tensor([-3.0, 0.1, 4.0])
    utils.clip_grad_value_([p], 0.5)
    assert p.grad.tolist() == pytest.approx([-0.5, 0.1, 0.5])


def test_vectors():
    net = model()
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (4 * 3 + 3 + 3 * 2 + 2,)
    utils.vector_to_parameters(vector * 0 + 7, net.parameters())
    assert all((p.detach().numpy() == 7).all() for p in net.parameters())
    with pytest.raises(RuntimeError, match="parameters 23"):
        utils.vector_to_parameters(descent.zeros(3), net.parameters())
    with pytest.raises(TypeError):
        utils.vector_to_parameters([1.0], net.parameters())
