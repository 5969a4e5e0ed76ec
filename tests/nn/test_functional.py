"""nn.functional without PyTorch: known values, and messages that teach."""

import numpy as np
import pytest

import descent
import descent.nn.functional as F


def test_every_public_name_is_there():
    assert len(set(F.__all__)) == len(F.__all__)
    assert all(callable(getattr(F, name)) for name in F.__all__)


def test_cross_entropy_of_even_scores_is_the_logarithm_of_the_classes():
    loss = F.cross_entropy(descent.zeros(4, 27), descent.tensor([0, 5, 13, 26]))
    assert loss.item() == pytest.approx(np.log(27), rel=1e-6)


def test_cross_entropy_gradient_is_p_minus_one_hot_over_rows():
    x = descent.zeros(2, 4, requires_grad=True)
    F.cross_entropy(x, descent.tensor([1, 3])).backward()
    expected = (np.full((2, 4), 0.25) - np.eye(4)[[1, 3]]) / 2
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


def test_all_targets_ignored_is_nan_and_none_of_them_is_zero():
    x, target = descent.zeros(2, 3), descent.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(x, target).item())
    assert F.cross_entropy(x, target, reduction="sum").item() == 0


def test_out_of_range_id_is_named():
    with pytest.raises(IndexError, match=r"id 7, but the table has 3 rows \(ids 0 to 2\)"):
        F.embedding(descent.tensor([0, 7]), descent.zeros(3, 2))


def test_out_of_range_class_is_named():
    with pytest.raises(IndexError, match="Target 9 is out of bounds: there are 3 classes"):
        F.cross_entropy(descent.zeros(2, 3), descent.tensor([0, 9]))


def test_ids_changed_after_the_forward_do_not_change_the_gradient():
    table, ids = descent.zeros(3, 2, requires_grad=True), descent.tensor([0, 0])
    y = F.embedding(ids, table).sum()
    ids.fill_(2)
    y.backward()
    assert table.grad.tolist() == [[2, 2], [0, 0], [0, 0]]


def test_dropout_off_is_the_input_itself():
    x = descent.zeros(3)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x + 1, 1.0).tolist() == [0, 0, 0]


def test_conv1d_by_hand():
    x = descent.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    w = descent.tensor([[[1.0, 0.0, -1.0]]])
    assert F.conv1d(x, w).tolist() == [[[-2.0, -2.0]]]
    assert F.conv1d(x, w, padding="same").tolist() == [[[-2.0, -2.0, -2.0, 3.0]]]
    assert F.conv1d(x, w, stride=2, padding=1).tolist() == [[[-2.0, -2.0]]]


def test_pools_by_hand():
    x = descent.tensor([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
    y, at = F.max_pool1d(x, 2, return_indices=True)
    assert y.tolist() == [[[5.0, 4.0]]]
    assert at.tolist() == [[[1, 3]]]
    assert F.max_pool1d(x, 2, ceil_mode=True).tolist() == [[[5.0, 4.0, 3.0]]]
    assert F.avg_pool1d(x, 2).tolist() == [[[3.0, 3.0]]]


def test_implicit_softmax_axis_warns():
    with pytest.warns(UserWarning, match="include dim=X"):
        F.softmax(descent.zeros(2, 3))


def test_different_target_size_warns():
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(descent.zeros(3, 1), descent.zeros(3))


def test_sum_of_a_product_names_both_sizes():
    with pytest.raises(RuntimeError, match="'j' of 'ij,jk->ik' has size 3 in one operand and 4"):
        descent.einsum("ij,jk->ik", descent.zeros(2, 3), descent.zeros(4, 5))
