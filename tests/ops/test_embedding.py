"""Embedding and dropout: rows are gathered, their gradients add up."""

import numpy as np
import pytest

from descent.ops import dropping, embedding

from .checks import check_elementwise, check_movement

rng = np.random.default_rng(0)


@pytest.mark.parametrize("ids", [[0, 2, 2, 1], [[3, 3], [3, 0]], []], ids=["1d", "2d", "none"])
def test_embedding(ids):
    ids = np.array(ids, np.int64)
    check_movement(embedding.embedding, rng.standard_normal((4, 3)), ids=ids, padding_idx=None)


def test_padding_row_gets_no_gradient():
    _, ctx = embedding.embedding.forward(
        (np.ones((3, 2)),), {"ids": np.array([0, 1, 1]), "padding_idx": 1}, [True]
    )
    (dw,) = embedding.embedding.backward(ctx, np.ones((3, 2)), [True])
    assert dw.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_many_ids_repeat_and_the_padding_row_gets_no_gradient():
    ids, dy = rng.integers(0, 5, (40, 50)), rng.standard_normal((40, 50, 24)).astype(np.float32)
    meta = {"ids": ids, "padding_idx": 3}
    _, ctx = embedding.embedding.forward((np.ones((6, 24), np.float32),), meta, [True])
    (dw,) = embedding.embedding.backward(ctx, dy, [True])
    expected = np.array([dy[ids == i].sum(0, dtype=np.float64) for i in range(6)])
    expected[3] = 0
    np.testing.assert_allclose(dw, expected, rtol=1e-4, atol=1e-4)


def test_scatter_add_is_add_at():
    ids, rows = rng.integers(0, 7, 50), rng.standard_normal((50, 3))
    expected = np.zeros((9, 3))
    np.add.at(expected, ids, rows)
    np.testing.assert_allclose(embedding.scatter_add(rows, ids, (9, 3)), expected, rtol=1e-12)


def test_dropout():
    check_elementwise(dropping.dropout, rng.standard_normal(4), np.array([0.0, 2.0, 2.0, 0.0]))
