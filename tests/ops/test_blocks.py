"""Branch-free selection and block-wise evaluation give what the plain forms give."""

import numpy as np
import pytest

from descent.ops.blocks import BLOCK, in_blocks, masked


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_masked_is_where_with_zero(dtype):
    rng = np.random.default_rng(3)
    values = rng.normal(0, 50, (5, 7)).astype(dtype)
    for mask in (
        values > 0,
        values[0] > 0,
        (values > 0).T.copy().T,
        np.bool_(True),
        values != values,
    ):
        found = masked(values, mask)
        expected = np.where(mask, values, 0)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, expected)


def test_masked_numbers_leave_no_trace():
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1.0])
    np.testing.assert_array_equal(masked(values, np.zeros(5, bool)), np.zeros(5))
    np.testing.assert_array_equal(masked(values, np.ones(5, bool)), values)
    assert masked(np.float32(3), np.bool_(True)) == 3


def test_blocks_cover_every_element_once():
    form = in_blocks(lambda x, y, k=2.0: x * y + k)
    for n in (0, 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5):
        x = np.arange(n, dtype=np.float32)
        np.testing.assert_array_equal(form(x, x[::-1].copy(), 0.5), x * x[::-1] + np.float32(0.5))


def test_arrays_that_cannot_be_cut_alike_go_whole():
    calls = []

    @in_blocks
    def form(x, y):
        calls.append(x.shape)
        return x + y

    x = np.ones((200, 200))
    np.testing.assert_array_equal(form(x.T, x), x + x)
    np.testing.assert_array_equal(form(x, x[0]), x + x)
    assert calls == [(200, 200)] * 2
    form(x, x)
    assert len(calls) == 2 + -(-x.size // BLOCK)
