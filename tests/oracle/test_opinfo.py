"""The ops of the kept list pass every one of PyTorch's samples: forward, gradient, both float types."""

import pytest

from .coverage import PASSING_LIST, kept_names, namespace_of
from .measure import measure_op
from .opinfo_db import load
from .report import entirely_passing, table

pytestmark = pytest.mark.oracle

KEPT = kept_names()


def test_the_list_is_long_enough_and_sound():
    assert len(KEPT) == len(set(KEPT)), f"{PASSING_LIST.name} names an op twice"
    assert set(KEPT) <= set(load()), f"no such OpInfo: {sorted(set(KEPT) - set(load()))}"
    assert len(KEPT) >= 120


@pytest.mark.parametrize("key", KEPT)
def test_every_sample_passes(key):
    results = measure_op(load()[key], namespace_of("descent"))
    assert entirely_passing(results) == [key], "\n" + table(results)
