"""Weights of 8 and 4 bits: what is kept, that nothing is lost twice, and the products with them."""

import numpy as np
import pytest

from descent.generate.decoder.matrices import Inputs, Matrix
from descent.kernel import kernel
from descent.kernel.phases import Phases, Units

rng = np.random.default_rng(5)


@kernel
def NOTHING(lo, hi, frame, me):
    """A phase's first work that does nothing."""


def kept(w, width, block=32):
    """The numbers that blocks of this width hold for w [n, k], by whole arrays (4 bits: with the
    scale that meets the largest number; ours may choose a better one)."""
    n, k = w.shape
    padded = np.zeros((n, -(-k // block) * block), np.float32)
    padded[:, :k] = w
    blocks = padded.reshape(n, -1, block)
    if width == "int8":
        t = (np.abs(blocks).max(-1) * np.float32(1 / 127)).astype(np.float16).astype(np.float32)
        low, high = -127, 127
    else:
        most = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
        t = (most / -8).astype(np.float16).astype(np.float32)
        low, high = -8, 7
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(t[..., None] == 0, 0, np.clip(np.rint(blocks / t[..., None]), low, high))
    return (q * t[..., None]).reshape(n, -1)[:, :k].astype(np.float32)


def product(matrix, x, y=None):
    """x · wᵀ through the works."""
    rows = len(x)
    phases, inputs = Phases(3), Inputs()
    out = np.zeros((rows, matrix.n), np.float32) if y is None else y.copy()
    phases.add(NOTHING, Units(0, 1, 0), [x])
    matrix.take(phases, inputs, x, Units(0, 1, 0))
    matrix.multiply(phases, inputs, x, out, 0, add=y is not None)
    phases.close()
    phases.sizes[0] = rows
    phases.run()
    return out


def stored(matrix):
    """The weights that a matrix holds: its products with rows of the identity, in bytes exact."""
    return product(matrix, np.eye(matrix.k, dtype=np.float32)).T


@pytest.mark.parametrize(("width", "block"), [("int8", 32), ("int8", 64), ("int8", 128)])
@pytest.mark.parametrize(("n", "k"), [(32, 128), (33, 130), (5, 31), (70, 172)])
def test_bytes_hold_the_nearest_number(width, block, n, k):
    w = rng.standard_normal((n, k)).astype(np.float32)
    w[0, :] = 0
    got = stored(Matrix(w, None, width, block))
    right = kept(w, width, block)
    other = np.abs(got - right) > 1e-7 + 2e-6 * np.abs(right)
    assert other.mean() < 1e-3  # halves, rounded the other way
    assert np.abs(got - right).max() < 1.001 / 127 * np.abs(w).max()


@pytest.mark.parametrize(("n", "k"), [(32, 128), (33, 130), (5, 31)])
def test_four_bits_are_no_worse_than_the_plain_scale(n, k):
    w = rng.standard_normal((n, k)).astype(np.float32)
    got = stored(Matrix(w, None, "int4", 32))
    ours, plain = np.square(got - w).sum(), np.square(kept(w, "int4") - w).sum()
    assert 0.5 * plain < ours < 0.95 * plain


@pytest.mark.parametrize("width", ["int8", "int4"])
def test_packing_again_loses_nothing(width):
    w = kept(rng.standard_normal((40, 96)).astype(np.float32), width)
    np.testing.assert_allclose(stored(Matrix(w, None, width, 32)), w, rtol=2e-6)


@pytest.mark.parametrize("width", ["float32", "bf16", "int8", "int4"])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7, 13, 40])
def test_products(width, rows):
    n, k = 77, 100
    w, x, b = (rng.standard_normal(s).astype(np.float32) for s in ((n, k), (rows, k), (n,)))
    y = rng.standard_normal((rows, n)).astype(np.float32)
    matrix = Matrix(w, b, width, 32)
    held = stored(Matrix(w, None, width, 32)) if width != "float32" else w
    right = y + x @ held.T + b
    limit = {"float32": 1e-4, "bf16": 0.2, "int8": 0.5, "int4": 0.5}[width]
    got = product(matrix, x, y)
    assert np.abs(got - right).max() < limit
    assert np.abs(product(matrix, x[:1], y[:1]) - got[:1]).max() == 0  # alone or in company


@pytest.mark.parametrize("w", [np.zeros((32, 32)), np.full((32, 32), 1e-9), np.full((32, 32), 3e4)])
@pytest.mark.parametrize("width", ["int8", "int4"])
def test_extremes_stay_finite(w, width):
    got = stored(Matrix(w.astype(np.float32), None, width, 32))
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, w, rtol=0.2, atol=1e-6)


def test_layouts_of_the_weight():
    """Stored the other way round (GPT-2's files), or with gaps, the numbers are the same."""
    w = rng.standard_normal((64, 96)).astype(np.float32)
    gaps = np.zeros((64, 192), np.float32)[:, ::2]
    gaps[:] = w
    right = stored(Matrix(w, None, "int8", 32))
    for other in (np.asfortranarray(w), gaps):
        np.testing.assert_array_equal(stored(Matrix(other, None, "int8", 32)), right)
