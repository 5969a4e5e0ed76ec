"""Convolution by sliding tiles: what the matrix of windows gives, for every shape of grid."""

import numpy as np
import pytest

from descent.nn.functional.places import table
from descent.ops import sliding, windows


def case(b=2, g=1, i=3, o=5, sides=(9, 11), kernel=(3, 3), dilation=(1, 1)):
    rng = np.random.default_rng(0)
    zero, one = (0,) * len(sides), (1,) * len(sides)
    at, counts = table(sides, kernel, one, zero, dilation)
    x = rng.standard_normal((b, g, i, int(np.prod(sides))), np.float32)
    w = rng.standard_normal((g, o, i, at.shape[1]), np.float32)
    dy = rng.standard_normal((b, g, o, int(np.prod(counts))), np.float32)
    return x, w, at, dy


CASES = {
    "plain": {},
    "5×5": {"kernel": (5, 5), "o": 8},
    "groups": {"g": 3, "o": 9, "i": 17},
    "dilated": {"dilation": (2, 1), "i": 40},
    "one row": {"sides": (60,), "kernel": (4,), "dilation": (1,)},
    "1×1": {"kernel": (1, 1), "o": 1},
    "many channels": {"b": 1, "i": 70, "o": 30, "sides": (12, 7)},
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_matrix_of_windows_in_float64(name):
    x, w, at, dy = case(**CASES[name])
    grid = sliding.grid_of(at, x.shape[3])
    assert grid is not None
    x64, w64, dy64 = (a.astype(np.float64) for a in (x, w, dy))
    pairs = [
        (sliding.convolve(x, w, grid), windows.conv_columns(x64, w64, at)),
        (
            sliding.convolve_grad_x(w, dy, grid, x.shape[3]),
            windows.conv_grad_x_columns(w64, at, dy64, x.shape),
        ),
        (sliding.convolve_grad_w(x, dy, grid), windows.conv_grad_w_columns(x64, at, dy64, w.shape)),
    ]
    for got, expected in pairs:
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-6 * float(abs(expected).max()) * 5)


def test_what_is_no_grid_of_stride_one_is_refused():
    places, two, zero, one = (12, 12), (2, 2), (0, 0), (1, 1)
    assert sliding.grid_of(table(places, (3, 3), two, zero, one)[0], 144) is None
    assert sliding.grid_of(table(places, (3, 3), one, one, one)[0], 144) is None  # margins outside
    assert sliding.grid_of(table((4, 4), (3, 3), one, zero, one)[0], 16) is None  # too small
    good = table(places, (3, 3), one, zero, one)[0].copy()
    assert sliding.grid_of(good, 144) is not None
    assert sliding.grid_of(good, 120) is None
    good[50, 4] += 1
    assert sliding.grid_of(good, 144) is None


def test_the_op_takes_the_tiles_for_large_float32_and_agrees_with_float64():
    x, w, at, dy = case(b=3, i=16, o=24, sides=(20, 22))
    meta, needs = {}, [True, True, False]
    results = []
    for dtype in (np.float32, np.float64):
        (y,), ctx = windows.conv.forward((x.astype(dtype), w.astype(dtype), at), meta, needs)
        results.append((y, *windows.conv.backward(ctx, dy.astype(dtype), needs)[:2]))
    assert windows.worth_sliding(x, at, w.shape[1])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4)


def test_neighbours_of_a_nan_alone_are_nan():
    x, w, at, _ = case(b=1, i=2, o=3, sides=(10, 12))
    x[0, 0, 0, 5 * 12 + 6] = np.nan
    grid = sliding.grid_of(at, x.shape[3])
    y = sliding.convolve(x, w, grid)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(windows.conv_columns(x, w, at)))
