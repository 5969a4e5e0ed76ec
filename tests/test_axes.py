"""The axis language: shapes, errors, and which slices feed one element."""

import pytest

from descent.axes import Axes, AxisError


def test_shapes_of_a_matrix_product() -> None:
    axes = Axes.parse("b m k, b k n -> b m n")
    sizes = axes.sizes("matmul", [(2, 3, 4), (2, 4, 5)])
    assert sizes == {"b": 2, "m": 3, "k": 4, "n": 5}
    assert axes.out_shapes(sizes) == [(2, 3, 5)]


def test_disagreement_names_op_axis_and_shapes() -> None:
    axes = Axes.parse("r k, n k -> r n")
    with pytest.raises(AxisError, match=r"linear \(r k, n k -> r n\): axis 'k' has size 4 .* 5"):
        axes.sizes("linear", [(2, 4), (3, 5)])
    with pytest.raises(AxisError, match=r"expected 2 axes 'r k', got shape \(4,\)"):
        axes.sizes("linear", [(4,), (3, 5)])


def test_reads_take_whole_axes_and_single_rows() -> None:
    slices, local = Axes.parse("r [c], [c] -> r [c], r").reads((7, 3))
    assert slices == [(slice(7, 8), slice(None)), (slice(None),)]
    assert local == (0, 3)
    slices, local = Axes.parse("b m k, b k n -> b m n").reads((1, 2, 3))
    assert slices == [
        (slice(1, 2), slice(2, 3), slice(None)),
        (slice(1, 2), slice(None), slice(3, 4)),
    ]
    assert local == (0, 0, 0)


def test_an_axis_string_needs_one_arrow() -> None:
    with pytest.raises(AxisError, match="exactly one"):
        Axes.parse("r c, c")
