"""Gumbel-softmax: PyTorch's draws, the right frequencies, a gradient through the hard choice."""

import numpy as np
import pytest

import descent
import descent.nn.functional as F


def test_hard_choices_follow_the_probabilities_and_pass_the_gradient():
    descent.manual_seed(1)
    p = np.array([0.1, 0.2, 0.7], np.float32)
    logits = descent.tensor(np.tile(np.log(p), (4000, 1))).requires_grad_()
    y = F.gumbel_softmax(logits, hard=True)
    assert set(np.unique(y.detach().numpy().round(6))) == {0.0, 1.0}
    np.testing.assert_allclose(y.detach().numpy().mean(0), p, atol=0.03)
    (y * descent.tensor([0.0, 1.0, 2.0])).sum().backward()
    assert np.abs(logits.grad.numpy()).sum() > 0


def test_a_wrong_axis_is_refused():
    with pytest.raises(IndexError, match="range"):
        F.gumbel_softmax(descent.tensor([[1.0, 2.0]]), dim=2)


@pytest.mark.oracle
@pytest.mark.parametrize("hard", [False, True])
def test_same_seed_same_draw_as_pytorch(hard):
    import torch

    scores = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    torch.manual_seed(3)
    theirs = torch.nn.functional.gumbel_softmax(torch.tensor(scores), tau=0.7, hard=hard, dim=0)
    descent.manual_seed(3)
    ours = F.gumbel_softmax(descent.tensor(scores), tau=0.7, hard=hard, dim=0)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-6, atol=1e-6)
