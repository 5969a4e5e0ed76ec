"""Lanes: the compiled form equals the written one, bit for bit, and never touches what lies beyond."""

import numpy as np
import pytest

from descent.kernel import kernel, lanes

rng = np.random.default_rng(0)
GUARD = np.float32(77)


@kernel
def arithmetic(x, y, z, out):
    a, b, c = lanes.load(x, 1), lanes.load(y, 2), lanes.load(z, 3)
    lanes.store(out, 0, lanes.fma(a, b, c))
    lanes.store(out, 16, a + b)
    lanes.store(out, 32, a - b)
    lanes.store(out, 48, a * b)
    lanes.store(out, 64, lanes.maximum(a, b))
    lanes.store(out, 80, lanes.splat(x, 5))
    lanes.store(out, 96, lanes.fill(0.1))
    lanes.store(out, 112, lanes.zeros())
    out[128] = lanes.total(c)
    lanes.store(out, 129, lanes.where_less(a, b, c, a))


@kernel
def ragged(x, y, n):
    lanes.store_part(y, 3, lanes.load_part(x, 2, n), n)


@kernel
def turned(x, y, row, step):
    lanes.transpose(x, 1, row, y, 2, step)


def test_arithmetic():
    x, y, z = (rng.standard_normal(24).astype(np.float32) for _ in range(3))
    x[3], y[7], x[8], y[9] = np.nan, np.nan, np.inf, -np.inf
    fast, slow = np.empty(145, np.float32), np.empty(145, np.float32)
    arithmetic.compiled(x, y, z, fast)
    with np.errstate(invalid="ignore"):  # infinity minus itself
        arithmetic.py(x, y, z, slow)
    np.testing.assert_array_equal(fast, slow)
    assert fast[96] == np.float32(0.1)


def test_integers():
    @kernel
    def sums(x, out):
        v = lanes.load(x, 0) * lanes.load(x, 16) + lanes.splat(x, 3)
        lanes.store(out, 0, v)
        return lanes.total(v)

    x = rng.integers(-9, 9, 32).astype(np.int32)
    fast, slow = np.empty(16, np.int32), np.empty(16, np.int32)
    assert sums.compiled(x, fast) == sums.py(x, slow)
    np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize("n", [0, 1, 5, 15, 16])
def test_a_part_touches_nothing_beyond(n):
    x = rng.standard_normal(2 + n).astype(np.float32)
    for form in (ragged.compiled, ragged.py):
        y = np.full(24, GUARD, np.float32)
        form(x, y, n)
        np.testing.assert_array_equal(y[3 : 3 + n], x[2 : 2 + n])
        assert (y[:3] == GUARD).all()
        assert (y[3 + n :] == GUARD).all()


def test_transpose():
    x = rng.standard_normal(16 * 20 + 1).astype(np.float32)
    for form in (turned.compiled, turned.py):
        y = np.full(2 + 16 * 17, GUARD, np.float32)
        form(x, y, 20, 17)
        square = x[1 : 1 + 16 * 20].reshape(16, 20)[:, :16]
        np.testing.assert_array_equal(y[2 : 2 + 16 * 17].reshape(16, 17)[:, :16], square.T)
        assert (y[2:].reshape(16, 17)[:, 16] == GUARD).all()


def test_as_written_says_what_lies_beyond():
    with pytest.raises(IndexError, match="lanes 10 to 26 of an array of 20"):
        lanes.load(np.zeros(20, np.float32), 10)
