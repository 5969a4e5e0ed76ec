"""Elementwise losses: forms agree, away from and at the kinks."""

import numpy as np
import pytest

from descent.ops import losses

from .checks import check_elementwise

X = np.array([-2.3, -0.4, 0.3, 0.9, 2.5, 4.0])
T = np.array([0.7, -0.5, 0.1, -0.8, 2.9, -1.5])
P = np.array([0.1, 0.5, 0.9, 0.25, 0.75, 0.4])
SIGN = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])

CASES = [
    (losses.squared_error, (X, T), {}),
    (losses.absolute_error, (X, T), {}),
    (losses.smooth_error, (X, T), {"beta": 0.5}),
    (losses.huber_error, (X, T), {"delta": 0.5}),
    (losses.log_loss, (P, P[::-1].copy()), {}),
    (losses.log_loss_logits, (X, P), {}),
    (losses.log_loss_weighted, (X, P, np.array([2.5])), {}),
    (losses.kl_point, (np.log(P), P[::-1].copy()), {}),
    (losses.kl_point_log, (np.log(P), np.log(P[::-1])), {}),
    (losses.soft_margin, (X, SIGN), {}),
]


@pytest.mark.parametrize(("op", "arrays", "meta"), CASES, ids=lambda c: getattr(c, "name", ""))
def test_forms_agree(op, arrays, meta):
    check_elementwise(op, *arrays, **meta)


def test_logarithm_of_zero_is_minus_a_hundred():
    (y,), _ = losses.log_loss.forward((np.array([0.0, 1.0]), np.array([1.0, 0.0])), {})
    assert y.tolist() == [100.0, 100.0]


def test_large_logits_stay_finite():
    (y,), _ = losses.log_loss_logits.forward((np.array([-1e4, 1e4]), np.array([1.0, 0.0])), {})
    assert y.tolist() == [1e4, 1e4]


def test_zero_probability_adds_nothing():
    (y,), _ = losses.kl_point.forward((np.array([-1.0]), np.array([0.0])), {})
    assert y.tolist() == [0.0]
