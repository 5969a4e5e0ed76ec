"""Reductions: forms agree, zeros and infinities, and long float32 sums."""

import numpy as np
import pytest

from descent.ops import reductions

from .checks import check_op

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 4, 2))


@pytest.mark.parametrize("op", [reductions.sum_, reductions.mean, reductions.prod,
                                reductions.logsumexp], ids=lambda op: op.name)  # fmt: skip
@pytest.mark.parametrize("dim", [1, (0, 2), None], ids=str)
def test_forms_agree(op, dim):
    check_op(op, X, dim=dim, keepdim=False)


def test_prod_with_zeros():
    x = X.reshape(4, 6).copy()
    x[1, 2] = x[2, 0] = x[2, 5] = x[3, 0] = 0
    check_op(reductions.prod, x, dim=1, keepdim=True)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)], ids=str)
def test_sum_of_nothing_is_zero(shape):
    (y,), _ = reductions.sum_.forward((np.empty(shape),), {"dim": 1, "keepdim": False})
    assert y.shape == shape[:1]
    assert not y.any()


def test_logsumexp_of_infinities():
    x = np.array([[-np.inf, -np.inf], [np.inf, 1.0], [1000.0, 1000.0]])
    for rung in ("python", "loops", "numpy"):
        with np.errstate(all="ignore"):
            (y,) = reductions.logsumexp.ladder.run_rung(rung, [x], [], lambda: [np.empty(3)])
        np.testing.assert_allclose(y, [-np.inf, np.inf, 1000 + np.log(2)])


@pytest.mark.parametrize("shape", [(1_000_003, 2), (2, 1_000_003)], ids=str)
def test_long_float32_sums_lose_nothing(shape):
    """Added one after the other these would be off by 1e-4 and more."""
    x = rng.random(shape, dtype=np.float32) + np.float32(0.1)
    along = int(np.argmax(shape))
    for op in (reductions.sum_, reductions.mean):
        (y,), _ = op.forward((x,), {"dim": along, "keepdim": False})
        exact = x.sum(along, dtype=np.float64)
        exact = exact if op is reductions.sum_ else exact / shape[along]
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, exact, rtol=3e-7)
