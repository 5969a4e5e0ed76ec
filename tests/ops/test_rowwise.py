"""Row kernels and the rungs made of them: what the declared loops give, also for rows of NaN and ∞."""

import numpy as np
import pytest

from descent.kernel import kernel
from descent.ops import extremes, likelihood, normalization, probability, reductions
from descent.ops.rowwise import largest

from .checks import check_op

rng = np.random.default_rng(0)


@kernel
def largest_of_all(x, y):
    for r in range(x.shape[0]):
        y[r] = largest(x[r])


@pytest.mark.parametrize("op", [probability.softmax, probability.log_softmax], ids=lambda o: o.name)
def test_forms_agree(op):
    check_op(op, rng.standard_normal((3, 5)), dim=1)


def test_largest_is_the_largest_and_nan_wins():
    x = rng.standard_normal((9, 37)).astype(np.float32)
    x[1] = -abs(x[1])
    x[2, 5], x[3, 6], x[4] = np.inf, -np.inf, -np.inf
    x[5], x[6] = 0.0, -0.0
    x[7, 30] = np.nan
    y = np.empty(9, np.float32)
    largest_of_all(x, y)
    np.testing.assert_array_equal(y, x.max(1))
    np.testing.assert_array_equal([largest(row) for row in x], x.max(1))


CASES = {
    "softmax": (probability.softmax, ()),
    "log_softmax": (probability.log_softmax, ()),
    "rms_norm": (normalization.rms_norm, ((400,),)),
    "layer_norm": (normalization.layer_norm, ((400,), (400,))),
}


@pytest.mark.parametrize("name", CASES)
def test_large_float32_rows_agree_with_float64(name):
    op, weights = CASES[name]
    arrays = [rng.standard_normal(s) for s in ((300, 400), *weights)]
    needs, meta = [True] * len(arrays), {"dim": 1, "eps": 1e-5}
    dy = rng.standard_normal((300, 400))
    results = []
    for dtype in (np.float32, np.float64):
        (y,), ctx = op.forward([a.astype(dtype) for a in arrays], meta, needs)
        results.append((y, *op.backward(ctx, dy.astype(dtype), needs)))
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(300, 401), (1, 300_007), (3, 100_001), (100_003, 1)])
def test_sums_of_large_float32_arrays(shape):
    x = rng.uniform(0, 1, shape).astype(np.float32)
    truth = x.astype(np.float64)
    for op, expected in (
        (reductions.sum_, truth.sum(1)),
        (reductions.mean, truth.mean(1)),
        (extremes.amax, truth.max(1)),
    ):
        got = op.forward([x], {"dim": 1})[0][0]
        assert got.dtype == np.float32
        assert got.shape == (shape[0],)
        np.testing.assert_allclose(got, expected, rtol=5e-7)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_number_stays_in_its_row(bad):
    x = rng.standard_normal((300, 400)).astype(np.float32)
    x[7, 9] = bad
    target = np.zeros(300, np.int64)
    for op, more in ((probability.softmax, ()), (probability.log_softmax, ())):
        got = op.forward([x, *more], {"dim": 1})[0][0]
        with np.errstate(all="ignore"):
            expected = op.ladder.run_rung("numpy", [x], [], lambda: [])[0]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    losses = likelihood.cross_entropy.forward([x, target], {"dim": 1})[0][0]
    assert np.isfinite(np.delete(losses, 7)).all()
    assert np.isfinite(losses[7]) == (bad == -np.inf)
