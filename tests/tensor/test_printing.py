"""`repr` of tensors: equal to PyTorch's, character by character."""

import numpy as np
import pytest

import descent
from descent.tensor.printing import printoptions, set_printoptions

rng = np.random.default_rng(0)


def some_arrays():
    """Shapes, dtypes and magnitudes in combination."""
    shapes = [(), (1,), (3,), (30,), (1001,), (2, 3), (5, 40), (40, 30), (2, 3, 4), (12, 11, 10)]
    shapes += [(0,), (2, 0), (0, 3, 2), (3, 2, 2, 2), (7, 2000), (2000, 7)]
    kinds = [
        lambda s: rng.standard_normal(s).astype(np.float32),
        lambda s: rng.standard_normal(s) * 1e5,
        lambda s: (rng.standard_normal(s) * 10.0 ** rng.integers(-6, 6, s)).astype(np.float32),
        lambda s: rng.integers(-5, 5, s).astype(np.float32),
        lambda s: rng.integers(-5, 5, s).astype(np.float64) * 1e7,
        lambda s: rng.integers(-100000, 5, s),
        lambda s: rng.integers(0, 5, s).astype(np.uint8),
        lambda s: rng.integers(0, 2, s).astype(bool),
        lambda s: np.where(rng.random(s) < 0.3, np.nan, rng.standard_normal(s)),
        lambda s: np.where(rng.random(s) < 0.3, -np.inf, rng.integers(0, 9, s)).astype(np.float32),
        lambda s: np.zeros(s, np.float32),
        lambda s: np.full(s, 1e-5, np.float32),
        lambda s: rng.standard_normal(s).astype(np.float16),
        lambda s: np.full(s, -0.0, np.float32),
    ]
    return [np.asarray(kind(s)) for s in shapes for kind in kinds]


@pytest.mark.oracle
def test_repr_equals_torch():
    import torch

    for a in some_arrays():
        a = np.array(a)
        assert repr(descent.from_numpy(a)) == repr(torch.from_numpy(a)), (a.shape, a.dtype)


@pytest.mark.oracle
def test_repr_with_history_equals_torch():
    import torch

    def texts(T):
        x = T.tensor([[1.0, 2.0], [3.0, 4.5]], requires_grad=True)
        long = T.ones(30, requires_grad=True)
        y = x * 2
        z = x + 1
        z += 1
        w = x * 1
        w[0] = 2
        every = [x, x + x, x * 2, x[0], x[:, 1], x[0, 1:], x.view(-1), x.T, x.exp(), x.sum(), long]
        every += [long * 2, T.cat([x, x]), T.stack([x, x]), x[x > 1], x.unsqueeze(0), y.detach()]
        every += [x.double(), T.ones(23, requires_grad=True) * 2, x.tanh(), x.reshape(4), z, w]
        every += [x.repeat(2, 1), x.clone(), x.flatten(), x.t(), x.transpose(0, 1), x.squeeze()]
        every += [x.permute(1, 0), x.expand(2, 2, 2), x.tril(), x.gather(1, T.zeros(1, 1).long())]
        return [repr(t) for t in every]

    assert texts(descent) == texts(torch)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2}, {"sci_mode": True}, {"sci_mode": False}, {"threshold": 5},
        {"threshold": 5, "edgeitems": 1}, {"linewidth": 40}, {"profile": "short"},
        {"profile": "full"}, {"precision": 8, "linewidth": 120}, {"edgeitems": 0, "threshold": 3},
    ],
)  # fmt: skip
def test_options_equal_torch(options):
    import torch

    arrays = [rng.standard_normal((4, 9)), np.arange(20.0) * 1000, np.array(3.5), np.arange(12)]
    torch.set_printoptions(**options)
    try:
        with printoptions(**options):
            for a in arrays:
                assert repr(descent.from_numpy(a)) == repr(torch.from_numpy(a))
    finally:
        torch.set_printoptions(profile="default")


def test_options_are_restored_and_checked():
    before = descent.get_printoptions()
    with printoptions(precision=1):
        assert repr(descent.tensor([1.25])) == "tensor([1.2])"
    assert descent.get_printoptions() == before
    with pytest.raises(ValueError, match="profile must be one of"):
        set_printoptions(profile="tiny")


def test_usual_forms():
    t = descent.tensor
    assert repr(t([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(t(3)) == "tensor(3)"
    assert repr(t([True, False])) == "tensor([ True, False])"
    assert repr(t([0.5], requires_grad=True)) == "tensor([0.5000], requires_grad=True)"
    assert repr(t([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"
    assert f"{t(0.25):.1f} {t(3)}" == "0.2 3"
