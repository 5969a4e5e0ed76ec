"""Products: every form of every op agrees; shapes that do not fit are named."""

import numpy as np
import pytest

from descent.axes import AxisError
from descent.ops import products

from .checks import check_op

rng = np.random.default_rng(0)


def n(*shape):
    return rng.standard_normal(shape)


CASES = [
    (products.mm, n(3, 4), n(4, 2)),
    (products.mm, n(2, 3, 4), n(4, 2)),
    (products.matmul, n(2, 3, 4), n(2, 4, 2)),
    (products.matmul, n(3, 1, 2, 4), n(2, 4, 3)),
    (products.matmul, n(4), n(4)),
    (products.matmul, n(2, 3, 4), n(4)),
    (products.matmul, n(4), n(2, 4, 3)),
    (products.matmul, n(4), n(4, 3)),
    (products.linear, n(2, 3, 4), n(5, 4)),
    (products.affine, n(3, 4), n(5, 4), n(5)),
    (products.affine, n(2, 3, 4), n(5, 4), n(5)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0].name}-{[a.shape for a in c[1:]]}")
def test_forms_agree(case):
    check_op(*case)


def test_empty_sum_is_zero():
    assert (products.mm.forward((np.ones((2, 0)), np.ones((0, 3))), {})[0][0] == 0).all()


def test_message_names_the_axis():
    with pytest.raises(AxisError, match="axis 'k' has size 3 in one input and 4"):
        products.mm.allocate([np.ones((2, 3)), np.ones((4, 5))])
