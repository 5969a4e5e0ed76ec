"""Movement, arranging, gathering and accumulating ops against the definition of each."""

import numpy as np
import pytest

from descent.ops import accumulating, arranging, gathers, movement
from tests.ops.checks import check_movement, check_op

rng = np.random.default_rng(2)
x = rng.standard_normal((3, 4))
cube = rng.standard_normal((2, 3, 4))
rows = np.array([[0, 2], [1, 1], [2, 0]])

CASES = [
    (movement.reshape, [x], {"shape": (2, 6)}),
    (movement.permute, [cube], {"dims": (2, 0, 1)}),
    (movement.select, [cube], {"index": (slice(None), 1)}),
    (movement.slice_, [cube], {"index": (Ellipsis, slice(1, None, 2))}),
    (movement.select, [x], {"index": (1, 2)}),
    (movement.expand, [x[:1]], {"shape": (2, 3, 4)}),
    (movement.diagonal, [cube], {"offset": 1, "dim1": 0, "dim2": 2}),
    (movement.unfold, [x], {"dim": 1, "size": 3, "step": 1}),
    (movement.as_strided, [x], {"size": (2, 3), "stride": (2, 1), "offset": 1}),
    (movement.copy, [x.T], {}),
    (arranging.cat, [x, x[:2]], {"dim": 0}),
    (arranging.stack, [x, x + 1], {"dim": 1}),
    (arranging.flip, [cube], {"dims": (0, 2)}),
    (arranging.roll, [x], {"shifts": (1, -2), "dims": (0, 1)}),
    (arranging.roll, [x], {"shifts": 3, "dims": None}),
    (arranging.tril, [cube], {"diagonal": -1}),
    (arranging.triu, [cube], {"diagonal": 1}),
    (arranging.repeat, [x], {"sizes": (2, 1, 3)}),
    (arranging.diag_embed, [x], {"offset": -1, "dim1": 0, "dim2": 2}),
    (gathers.index, [x], {"index": (np.array([0, 2, 0]),)}),
    (gathers.index, [cube], {"index": (slice(None), np.array([0, 2, 0]), np.array([1, 1, 1]))}),
    (gathers.index, [cube], {"index": (np.array([0, 1]), slice(None), np.array([1, 1]))}),
    (gathers.index, [x], {"index": (x > 0,)}),
    (gathers.put, [x, np.array(2.0)], {"index": (np.array([0, 2]), np.array([1, 1]))}),
    (gathers.gather, [x], {"dim": 1, "index": rows}),
    (gathers.take, [x], {"index": np.array([[0, -1], [5, 5]])}),
    (gathers.put_flat, [x, np.array([1.0, 2.0])], {"positions": np.array([3, 11])}),
]


@pytest.mark.parametrize(("op", "arrays", "meta"), CASES, ids=lambda c: getattr(c, "name", ""))
def test_movement(op, arrays, meta):
    check_movement(op, *arrays, **meta)


@pytest.mark.parametrize("name", ["scatter_add", "scatter_prod", "scatter_max", "scatter_min"])
def test_accumulating(name):
    values, places = rng.standard_normal(5), np.array([1, 3, 1, 0, 1])
    check_op(getattr(accumulating, name), rng.standard_normal(4), values, places)


def test_scatter_prod_with_zeros():
    values = np.array([0.0, 2.0, 3.0, 0.0, 0.0, 5.0])
    places = np.array([0, 0, 1, 2, 2, 3])
    check_op(accumulating.scatter_prod, np.array([1.5, 2.0, 3.0, 0.0]), values, places)


def test_ties_share_the_gradient():
    op, dy = accumulating.scatter_max, np.array([1.0, 1.0])
    x, v, p = np.array([2.0, 0.0]), np.array([2.0, 2.0, 1.0]), np.array([0, 0, 1])
    _, ctx = op.forward([x, v, p], {}, [True, True, False])
    dx, dv, _ = op.backward(ctx, dy, [True, True, False])
    np.testing.assert_allclose(dx, [1 / 3, 0])
    np.testing.assert_allclose(dv, [1 / 3, 1 / 3, 1])
