"""Variance, deviation and norms: forms agree, also where the square root has no derivative."""

import numpy as np
import pytest

from descent.ops import spread

from .checks import check_op

rng = np.random.default_rng(1)
X = rng.standard_normal((3, 4))


@pytest.mark.parametrize("op", [spread.var, spread.std], ids=lambda op: op.name)
@pytest.mark.parametrize("correction", [1.0, 0.0, 1.5, -2.0])
def test_spread_forms_agree(op, correction):
    check_op(op, X, dim=1, keepdim=False, correction=correction)


@pytest.mark.parametrize("correction", [4.0, 6.0])
def test_no_degrees_of_freedom(correction):
    for rung in ("python", "loops", "numpy"):
        with np.errstate(all="ignore"):
            run = spread.var.ladder.run_rung
            (y,) = run(rung, [X], [correction], lambda: [np.empty(3)])
        assert np.isinf(y).all()


def test_norm_forms_agree():
    check_op(spread.norm, X, dim=(1,), keepdim=False)


@pytest.mark.parametrize("p", [0.5, 1.5, 3.0, -1.0])
def test_power_norm_forms_agree(p):
    check_op(spread.power_norm, X, dim=0, keepdim=False, p=p)


def test_gradients_at_zero_are_zero():
    x = np.zeros((2, 3))
    for op, meta in [
        (spread.norm, {}),
        (spread.std, {"correction": 1.0}),
        (spread.power_norm, {"p": 3.0}),
        (spread.power_norm, {"p": 0.5}),
    ]:
        meta = {"dim": 1, "keepdim": False, **meta}
        _, ctx = op.forward((x,), meta, [True])
        with np.errstate(all="ignore"):
            (dx,) = op.backward(ctx, np.ones(2), [True])
        assert not dx.any()


def test_variance_of_numbers_far_from_zero():
    """E[x²] − E[x]² would give nothing but rounding here."""
    x = (rng.standard_normal((1, 100_000)) + 4096).astype(np.float32)
    (y,), _ = spread.var.forward((x,), {"dim": 1, "keepdim": False, "correction": 1.0})
    np.testing.assert_allclose(y, x.astype(np.float64).var(1, ddof=1), rtol=1e-5)
