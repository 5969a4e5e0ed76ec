"""Limits, promotion and casts as PyTorch answers them."""

import itertools

import pytest

import descent

NAMES = "float16 float32 float64 uint8 int8 int16 int32 int64 bool".split()


@pytest.mark.oracle
def test_pairs_of_dtypes():
    import torch

    for a, b in itertools.product(NAMES, NAMES):
        ours, theirs = ([getattr(T, n) for n in (a, b)] for T in (descent, torch))
        assert repr(descent.promote_types(*ours)) == repr(torch.promote_types(*theirs)), (a, b)
        assert descent.can_cast(*ours) == torch.can_cast(*theirs), (a, b)


@pytest.mark.oracle
def test_limits():
    import torch

    for name in NAMES[:3]:
        ours, theirs = descent.finfo(getattr(descent, name)), torch.finfo(getattr(torch, name))
        for what in "min max eps tiny smallest_normal bits".split():
            assert getattr(ours, what) == getattr(theirs, what), (name, what)
    for name in NAMES[3:8]:
        ours, theirs = descent.iinfo(getattr(descent, name)), torch.iinfo(getattr(torch, name))
        assert (ours.min, ours.max, ours.bits) == (theirs.min, theirs.max, theirs.bits)
    assert descent.finfo().max == torch.finfo().max


@pytest.mark.oracle
def test_result_type_of_tensors_and_numbers():
    import torch

    things = ["T.ones(2)", "T.tensor(1.0)", "T.arange(2)", "T.tensor(1)", "1", "1.5", "True"]
    things += ["T.ones(2, dtype=T.float64)", "T.tensor(1.0, dtype=T.float64)", "T.tensor([True])"]
    for a, b in itertools.product(things, things):
        if "T" in a.replace("True", "") or "T" in b.replace("True", ""):
            call = f"T.result_type({a}, {b})"
            assert repr(eval(call, {"T": descent})) == repr(eval(call, {"T": torch})), call


def test_wrong_kind_names_the_right_function():
    with pytest.raises(TypeError, match="iinfo"):
        descent.finfo(descent.int32)
    with pytest.raises(TypeError, match="finfo"):
        descent.iinfo(descent.float32)
