"""Convolution and pooling: forms agree on tables with and without places outside."""

import numpy as np
import pytest

from descent.ops import windows

from .checks import check_movement, check_op

rng = np.random.default_rng(0)
AT = np.array([[0, 1, 2], [2, 3, 4]])
EDGES = np.array([[-1, 0, 1], [1, 2, 3], [3, 4, -1]])


@pytest.mark.parametrize("groups", [1, 2])
def test_conv_forms_agree(groups):
    x, w = rng.standard_normal((2, groups, 2, 5)), rng.standard_normal((groups, 2, 2, 3))
    check_op(windows.conv, x, w, AT)


@pytest.mark.parametrize("at", [AT, EDGES], ids=["inside", "edges"])
def test_max_pool_forms_agree(at):
    check_op(windows.max_pool, rng.standard_normal((2, 5)), at)


@pytest.mark.parametrize("at", [AT, EDGES], ids=["inside", "edges"])
def test_average_pool_forms_agree(at):
    check_op(windows.average_pool, rng.standard_normal((2, 5)), at, (at >= 0).sum(1))


def test_max_pool_of_nan_is_nan():
    (y, _), _ = windows.max_pool.forward(
        (np.array([[1.0, np.nan, 2.0]]), np.array([[0, 1, 2]])), {}
    )
    assert np.isnan(y).all()


@pytest.mark.parametrize("widths", [((0, 0), (1, 2)), ((1, 0), (-1, 1)), ((-1, -1), (0, -2))])
def test_pad(widths):
    check_movement(windows.pad_zeros, rng.standard_normal((3, 4)), widths=widths)
