"""Softmax, cross entropy, negative log-likelihood: forms agree; large scores stay finite."""

import numpy as np
import pytest

from descent.ops import likelihood, probability

from .checks import check_op

rng = np.random.default_rng(0)
X, TARGET = rng.standard_normal((4, 5)) * 3, np.array([0, 4, 2, 2])


@pytest.mark.parametrize("op", [probability.softmax, probability.log_softmax], ids=repr)
@pytest.mark.parametrize("dim", [1, 0])
def test_softmax_forms_agree(op, dim):
    check_op(op, X, dim=dim)


@pytest.mark.parametrize("op", [likelihood.cross_entropy, likelihood.nll], ids=repr)
def test_loss_forms_agree(op):
    check_op(op, X, TARGET, dim=1)


@pytest.mark.parametrize("op", [likelihood.cross_entropy, likelihood.nll], ids=repr)
def test_classes_in_the_middle(op):
    x = rng.standard_normal((2, 3, 2))
    check_op(op, x, np.array([[0, 2], [1, 1]]), dim=1)


@pytest.mark.parametrize("op", [likelihood.cross_entropy, likelihood.nll], ids=repr)
def test_a_negative_target_does_not_count(op):
    check_op(op, X, np.array([0, -1, 2, -1]), dim=1)


def test_cross_entropy_of_large_scores():
    x = np.array([[1e4, 0.0], [0.0, 1e4]])
    (loss,), _ = likelihood.cross_entropy.forward((x, np.array([0, 0])), {"dim": 1})
    assert loss.tolist() == [0.0, 1e4]


def test_rows_sum_to_one_with_minus_infinity():
    x = np.array([[0.0, -np.inf, 0.0]])
    (y,), _ = probability.softmax.forward((x,), {"dim": 1})
    assert y.tolist() == [[0.5, 0.0, 0.5]]
