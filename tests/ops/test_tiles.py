"""Tiles: equal to float64 NumPy within the rounding of k terms, nothing written beyond y."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descent.ops import tiles
from descent.ops.tiles import ADD, BIAS, PLAIN, WIDTH

GUARD = np.float32(77)
EPS = 2.0**-24


def packed(b, transposed, pack=tiles.pack):
    """Panels of b, read from memory that holds it row by row or column by column."""
    k, n = b.shape
    memory = np.concatenate([[0], (b.T if transposed else b).ravel()]).astype(np.float32)[1:]
    panels = np.full(tiles.panels_size(k, n), np.nan, np.float32)
    row, col = (1, k) if transposed else (n, 1)
    pack(memory, row, col, k, n, panels, 0, -(-n // WIDTH))
    return panels


def check(m, k, n, mode, a_transposed, b_transposed, pack=tiles.pack, product=tiles.product):
    rng = np.random.default_rng(m * 10007 + k * 101 + n)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    a, b = a.astype(np.float32), b.astype(np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    y = np.full((m + 2, n + 3), GUARD)
    y[1:-1, 1:-2] = before = rng.standard_normal((m, n)).astype(np.float32)
    panels = packed(b, b_transposed, pack)
    memory = (a.T if a_transposed else a).ravel()
    row, col = (1, m) if a_transposed else (k, 1)
    flat = y.reshape(-1)[n + 4 :]
    product(
        memory, row, col, panels, k, n, flat, n + 3, 0, m, 0, -(-n // WIDTH), mode, bias
    )  # fmt: skip
    extra = {PLAIN: 0.0, BIAS: bias.astype(float), ADD: before.astype(float)}[mode]
    exact = a.astype(float) @ b + extra
    bound = (k + 2) * EPS * (np.abs(a).astype(float) @ np.abs(b) + np.abs(extra)) + 1e-30
    assert (np.abs(y[1:-1, 1:-2] - exact) <= bound).all()
    y[1:-1, 1:-2] = GUARD
    assert (y == GUARD).all()


SHAPES = [(1, 1, 1), (3, 0, 5), (1, 40, 70), (14, 16, 32), (15, 17, 33), (29, 1, 65), (32, 200, 27), (53, 900, 40)]  # fmt: skip


@pytest.mark.parametrize("mode", [PLAIN, BIAS, ADD])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape, mode):
    check(*shape, mode, False, True)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 45), st.integers(0, 70), st.integers(1, 80),
    st.sampled_from([PLAIN, BIAS, ADD]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_shape_and_layout(m, k, n, mode, a_transposed, b_transposed):
    check(m, k, n, mode, a_transposed, b_transposed)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 18, 35), (16, 3, 2)], ids=str)
@pytest.mark.parametrize("b_transposed", [False, True])
def test_as_written(shape, b_transposed, monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")
    for mode in (PLAIN, BIAS, ADD):
        check(*shape, mode, True, b_transposed)


def test_rows_and_panels_in_parts():
    """A product may be divided: the parts make the same bits."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((30, 20)), rng.standard_normal((20, 70))
    a, b = a.astype(np.float32), b.astype(np.float32)
    panels = packed(b, False)
    whole, parts = np.empty((30, 70), np.float32), np.empty((30, 70), np.float32)

    def run(y, *part):
        tiles.product(a.ravel(), 20, 1, panels, 20, 70, y.reshape(-1), 70, *part, PLAIN, a.ravel())

    run(whole, 0, 30, 0, 3)
    for rows in ((0, 11), (11, 30)):
        for cut in ((0, 1), (1, 3)):
            run(parts, *rows, *cut)
    np.testing.assert_array_equal(whole, parts)
