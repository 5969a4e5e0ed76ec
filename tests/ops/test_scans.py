"""Scans: forms agree; zeros in products, infinities in logarithms, float32 accumulation."""

import numpy as np
import pytest

from descent.ops import scans

from .checks import check_op

rng = np.random.default_rng(3)
X = rng.standard_normal((2, 5))
names = {"ids": lambda op: op.name}


@pytest.mark.parametrize(
    "op", [scans.cumsum, scans.cumprod, scans.cummax, scans.cummin, scans.logcumsumexp], **names
)
def test_forms_agree(op):
    check_op(op, X, dim=1)
    check_op(op, X, dim=0)


def test_cumprod_with_zeros():
    x = rng.standard_normal((4, 5))
    x[1, 0] = x[2, 2] = x[2, 4] = x[3, 4] = 0
    check_op(scans.cumprod, x, dim=1)


@pytest.mark.parametrize("op", [scans.cummax, scans.cummin], **names)
def test_last_of_equal_ones_and_nan(op):
    x = np.array([[1.0, 1.0, np.nan, 5.0], [2.0, 2.0, 2.0, 2.0]])
    for rung in ("python", "loops", "numpy"):
        y, index = op.ladder.run_rung(rung, [x], [], lambda: op.allocate([x]))
        assert index.tolist() == [[0, 1, 2, 2], [0, 1, 2, 3]]
        assert np.isnan(y[0, 2:]).all()


def test_logcumsumexp_of_infinities():
    x = np.array([[-np.inf, 0.0, 1000.0, np.inf]])
    for rung in ("python", "loops", "numpy"):
        run = scans.logcumsumexp.ladder.run_rung
        with np.errstate(all="ignore"):
            (y,) = run(rung, [x], [], lambda: [np.empty((1, 4))])
        np.testing.assert_array_equal(y, x)


def test_long_float32_cumsum():
    x = rng.random((1, 300_000), dtype=np.float32)
    (y,), _ = scans.cumsum.forward((x,), {"dim": 1})
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, x.cumsum(1, dtype=np.float64), rtol=1e-7)
