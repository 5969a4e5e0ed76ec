"""Normalisation: forms agree; the result has the moments it promises."""

import numpy as np
import pytest

from descent.ops import normalization

from .checks import check_op

rng = np.random.default_rng(0)
X, W, B = rng.standard_normal((3, 4)) * 2 + 1, rng.standard_normal(4), rng.standard_normal(4)


def test_layer_norm_forms_agree():
    check_op(normalization.layer_norm, X, W, B, dim=(1,), eps=1e-5)


def test_layer_norm_over_two_axes():
    check_op(normalization.layer_norm, X.reshape(3, 2, 2), W.reshape(2, 2), B.reshape(2, 2),
             dim=(1, 2), eps=0.1)  # fmt: skip


def test_rms_norm_forms_agree():
    check_op(normalization.rms_norm, X, W, dim=(1,), eps=1e-5)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4)])
def test_batch_norm_forms_agree(shape):
    x = rng.standard_normal(shape)
    check_op(normalization.batch_norm, x, W[:3], B[:3], dim=1, eps=1e-5)


def test_moments():
    x = rng.standard_normal((6, 50)) * 7 + 3
    ones, zeros = np.ones(50), np.zeros(50)
    (y,), _ = normalization.layer_norm.forward((x, ones, zeros), {"dim": (1,), "eps": 0.0})
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(1), 1, rtol=1e-12)


@pytest.mark.parametrize("shape", [(700, 50), (4, 33, 20, 20)])
def test_large_batch_norm_in_columns(shape):
    x = rng.standard_normal(shape) * 3 + 100
    w, b = rng.standard_normal((2, shape[1]))
    meta, dy = {"dim": 1, "eps": 1e-5}, rng.standard_normal(shape)
    (y, *_), ctx = normalization.batch_norm.forward((x, w, b), meta, [True] * 3)  # float64
    grads = normalization.batch_norm.backward(ctx, dy, [True] * 3)
    x32, w32, b32, dy32 = (a.astype(np.float32) for a in (x, w, b, dy))
    (y32, *_), ctx = normalization.batch_norm.forward((x32, w32, b32), meta, [True] * 3)
    np.testing.assert_allclose(y32, y, rtol=1e-3, atol=1e-4)
    assert y32.size >= normalization.SLAB // 2
    for got, right in zip(normalization.batch_norm.backward(ctx, dy32, [True] * 3), grads):
        np.testing.assert_allclose(got, right, rtol=1e-3, atol=2e-3)
