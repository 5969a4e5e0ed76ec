"""Row sums: every form equals np.add.at, which says the definition."""

import numpy as np
import pytest

from descent.ops import rowsums
from descent.ops.rowsums import add_rows

rng = np.random.default_rng(4)


@pytest.mark.parametrize(
    ("rows", "width", "n"),
    [
        (100, 1, 7),  # histogram
        (100, 3, 7),
        (20, 1, 100),  # few numbers in a large table
        (100, 8, 7),  # product
        (3000, 8, 30),  # runs: positions repeat often
        (3000, 8, 5000),  # runs: positions repeat rarely
        (0, 8, 5),
    ],
)
def test_equals_the_definition(rows, width, n):
    positions = rng.integers(0, n, rows)
    values = rng.standard_normal((rows, width))
    expected = np.zeros((n, width))
    np.add.at(expected, positions, values)
    np.testing.assert_allclose(add_rows(values, positions, n), expected, atol=1e-12)
    assert add_rows(values.astype(np.float32), positions, n).dtype == np.float32


def test_an_infinite_row_stays_in_its_place():
    values = np.ones((4, 6))
    values[1] = np.inf
    out = add_rows(values, np.array([0, 1, 2, 2]), 3)
    assert out[:, 0].tolist() == [1, np.inf, 2]


@pytest.mark.parametrize(("rows", "width", "n"), [(3000, 16, 30), (2000, 37, 5000), (700, 150, 3)])
def test_many_float32_are_added_by_columns(rows, width, n):
    positions = rng.integers(0, n, rows)
    values = (
        rng.integers(-9, 9, (width, rows)).astype(np.float32).T
    )  # whole numbers: sums are exact
    assert values.size >= rowsums.LARGE
    expected = np.zeros((n, width), np.float32)
    np.add.at(expected, positions, values)
    np.testing.assert_array_equal(add_rows(values, positions, n), expected)
