"""Sorting: orders against a plain sort, and gradients back to where the numbers came from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.ops import sorting

from .checks import check_gradient, check_movement

X = np.random.default_rng(4).standard_normal((3, 5))
numbers = st.lists(st.sampled_from([-1.0, 0.0, 2.0, 2.5, np.inf, -np.inf, np.nan]), max_size=40)


def _plain(xs, descending):
    """A stable sort by Python, NaN largest."""
    size = lambda i: (xs[i] != xs[i], 0.0 if xs[i] != xs[i] else xs[i])  # noqa: E731
    return sorted(range(len(xs)), key=size, reverse=descending) if not descending else sorted(
        range(len(xs)), key=lambda i: tuple(-float(v) for v in size(i))
    )  # fmt: skip


@given(numbers, st.booleans())
def test_order_is_stable_with_nan_largest(xs, descending):
    assert sorting.order(np.array(xs), 0, descending).tolist() == _plain(xs, descending)


@given(numbers, st.integers(0, 8), st.booleans())
def test_largest_are_the_head_of_the_order(xs, k, smallest):
    x, k = np.array(xs), min(k, len(xs))
    got = x[sorting.largest(x, k, 0, smallest)]
    np.testing.assert_array_equal(got, x[sorting.order(x, 0, not smallest)][:k])


@pytest.mark.parametrize("dim", [0, 1])
def test_sorted_elements_know_their_places(dim):
    check_movement(sorting.sort, X, dim=dim, index=sorting.order(X, dim))
    check_movement(sorting.topk, X, dim=dim, index=sorting.largest(X, 2, dim))


def test_shared_element():
    x = X.copy()
    x[1, 1] = x[2, 3] = 7
    _, ctx = sorting.share.forward([x], {"positions": np.array([6, 13])}, [True])
    (dx,) = sorting.share.backward(ctx, np.array(3.0), [True])
    assert dx[1, 1] == dx[2, 3] == 1.5
    assert dx.sum() == 3
    check_gradient(sorting.share, (X,), {"positions": np.array([6])})
