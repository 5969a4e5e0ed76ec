"""Largest and smallest: forms agree; ties, NaN and infinities as promised."""

import numpy as np
import pytest

from descent.ops import extremes

from .checks import check_op

rng = np.random.default_rng(2)
X = rng.standard_normal((3, 4, 2))
CHOOSING = [extremes.amax, extremes.amin, extremes.max_, extremes.min_]
FINDING = [extremes.argmax, extremes.argmin]
COUNTING = [extremes.any_, extremes.all_, extremes.count_nonzero]
names = {"ids": lambda op: op.name}


@pytest.mark.parametrize("op", CHOOSING + FINDING + COUNTING, **names)
@pytest.mark.parametrize("dim", [1, None], ids=str)
def test_forms_agree(op, dim):
    check_op(op, np.round(X) if op in COUNTING else X, dim=dim, keepdim=True)


def _rungs(op, x):
    """What every rung gives for the last axis of a matrix."""
    like = lambda: op.allocate([x])  # noqa: E731
    rungs = ["python", "loops", *(r.name for r in op.ladder.rungs)]
    return [op.ladder.run_rung(rung, [x], [], like) for rung in rungs]


@pytest.mark.parametrize("op", CHOOSING, **names)
def test_nan_wins(op):
    x = np.array([[1.0, np.nan, 3.0], [np.nan, -np.inf, np.inf]])
    for outs in _rungs(op, x):
        assert np.isnan(outs[0]).all()


@pytest.mark.parametrize("op", FINDING, **names)
def test_position_of_nan_and_of_the_first_tie(op):
    x = np.array([[1.0, np.nan, np.nan], [2.0, 2.0, 2.0]])
    for (y,) in _rungs(op, x):
        assert y.tolist() == [1, 0]


@pytest.mark.parametrize("op", [extremes.amax, extremes.amin], **names)
def test_ties_share_the_gradient(op):
    x = np.array([[1.0, 1.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
    _, ctx = op.forward((x,), {"dim": 1, "keepdim": False}, [True])
    (dx,) = op.backward(ctx, np.array([1.0, 2.0]), [True])
    np.testing.assert_array_equal(dx, [[0.25] * 4, [0.5] * 4])
    root = op.explain([x], (1,), {"dim": 1, "keepdim": False})
    assert root.data == 5.0


def test_explained_tie_gives_the_same_shares():
    from descent.scalar.value import topological_order

    x = np.array([[3.0, 1.0, 3.0]])
    root = extremes.amax.explain([x], (0,), {"dim": 1, "keepdim": False})
    root.backward()
    found = {v.label: v.grad for v in topological_order(root) if v.label and not v.parents}
    assert found == {"x[0, 0]": 0.5, "x[0, 2]": 0.5}
