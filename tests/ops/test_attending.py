"""Attention: forms agree; a causal limit hides the future."""

import numpy as np
import pytest

from descent.ops import attending

from .checks import check_op

rng = np.random.default_rng(0)


def qkv(t=3, s=4, lead=(2,)):
    return [rng.standard_normal((*lead, n, d)) for n, d in ((t, 3), (s, 3), (s, 2))]


@pytest.mark.parametrize("limit", [[4, 4, 4], [1, 2, 3]], ids=["all", "causal"])
def test_forms_agree(limit):
    check_op(attending.attention, *qkv(), np.array(limit), scale=0.5)


def test_batch_and_heads():
    check_op(attending.attention, *qkv(2, 2, (2, 2)), np.array([1, 2]), scale=0.7)


def test_future_is_hidden():
    q, k, v = qkv(4, 4)
    limit = np.arange(1, 5)
    (before,), _ = attending.attention.forward((q, k, v, limit), {"scale": 1.0})
    v[:, 2:], k[:, 2:] = 1e3, -1e3
    (after,), _ = attending.attention.forward((q, k, v, limit), {"scale": 1.0})
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert not np.allclose(before[:, 2:], after[:, 2:])
