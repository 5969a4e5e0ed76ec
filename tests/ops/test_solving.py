"""Equations, determinants, factors: forms agree, and the results are what they claim to be."""

import numpy as np
import pytest

from descent.ops import factors, solving

from .checks import check_op

rng = np.random.default_rng(6)
A = rng.standard_normal((2, 3, 3))
ROW_EXCHANGE = np.array([[0.0, 2.0, 1.0], [1.0, 0.5, 0.0], [3.0, 1.0, 1.0]])
SINGULAR = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 1.0]])


@pytest.mark.parametrize("a", [A, ROW_EXCHANGE, A[:, :1, :1]], ids=["batch", "exchange", "1x1"])
def test_elimination_forms_agree(a):
    check_op(solving.det, a)
    check_op(solving.slogdet, a)
    check_op(solving.solve, a, rng.standard_normal((*a.shape[:-1], 2)))


def test_singular_determinant_has_a_gradient():
    check_op(solving.det, SINGULAR)


def test_cholesky_forms_agree():
    check_op(factors.cholesky, A @ A.swapaxes(1, 2) + np.eye(3))


def test_singular_values():
    tall = rng.standard_normal((4, 3))
    (y, *_), _ = factors.svdvals.forward((tall,), {})
    for rung in ("python", "loops"):
        run = factors.svdvals.ladder.run_rung
        a = tall[None]
        s, u, v = run(rung, [a], [], lambda a=a: factors.svdvals.allocate([a]))
        np.testing.assert_allclose(s[0], y, rtol=1e-12)
        np.testing.assert_allclose((u * s[:, None, :]) @ v.swapaxes(1, 2), a, atol=1e-12)


def test_singular_values_gradient_and_explanation():
    from .checks import check_explained, check_gradient

    x = rng.standard_normal((4, 3))
    check_gradient(factors.svdvals, (x,), {})
    check_explained(factors.svdvals, (x,), {})
