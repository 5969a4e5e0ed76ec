"""Rotary positions: forms agree; turning keeps lengths and makes dot products relative."""

import numpy as np
import pytest

from descent.ops import turning

from .checks import check_op

rng = np.random.default_rng(0)


def angles(t, k):
    theta = rng.uniform(0, 6, (t, k))
    return np.cos(theta), np.sin(theta)


@pytest.mark.parametrize("shape", [(2, 3, 2, 4), (1, 5, 1, 2)])
def test_forms_agree(shape):
    check_op(turning.rotary, rng.standard_normal(shape), *angles(shape[1], shape[3] // 2))


def test_other_angles_can_be_scaled_too():
    cos, sin = angles(3, 2)
    check_op(turning.rotary, rng.standard_normal((2, 3, 1, 4)), 1.7 * cos, 1.7 * sin)


@pytest.mark.parametrize("shape", [(3, 40, 6, 64), (1, 300, 2, 64)])
def test_large_ones_in_threads(shape):
    x, dy = rng.standard_normal((2, *shape))
    cos, sin = angles(shape[1], shape[3] // 2)
    right = turning.turned(x, cos, sin)
    x32, cos32, sin32, dy32 = (a.astype(np.float32) for a in (x, cos, sin, dy))
    needs = [True, False, False]
    (y,), ctx = turning.rotary.forward((x32, cos32, sin32), {}, needs)
    np.testing.assert_allclose(y, right, rtol=1e-5, atol=1e-5)
    dx = turning.rotary.backward(ctx, dy32, needs)[0]
    np.testing.assert_allclose(dx, turning.turned(dy, cos, -sin), rtol=1e-5, atol=1e-5)


def test_dot_products_depend_on_the_distance_alone():
    q, k = rng.standard_normal((2, 1, 1, 1, 8))
    f = rng.uniform(0, 1, 4)

    def at(x, t):
        theta = t * f[None]
        return turning.rotary.forward((x, np.cos(theta), np.sin(theta)), {})[0][0].ravel()

    here = at(q, 7) @ at(k, 3)
    np.testing.assert_allclose(at(q, 107) @ at(k, 103), here)
    assert abs(at(q, 8) @ at(k, 3) - here) > 1e-3
    np.testing.assert_allclose(np.linalg.norm(at(q, 5)), np.linalg.norm(q))
