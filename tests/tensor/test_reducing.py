"""Reductions, extremes, scans, sorting, norms and counting: the meanings PyTorch gives them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import descent

pytestmark = pytest.mark.oracle

rng = np.random.default_rng(0)
NAN, INF = float("nan"), float("inf")
ARRAYS = {
    "matrix": rng.standard_normal((3, 4)).astype(np.float32),
    "cube": rng.standard_normal((2, 3, 4)),
    "strided": rng.standard_normal((4, 3, 2)).transpose(2, 0, 1),
    "number": np.array(-1.5, np.float32),
    "ties": np.array([[1, 3, 3, 1], [2, 2, 2, 2], [0, -1, 0, -1]], np.float32),
    "odd": np.array([[1, NAN, 2], [INF, -INF, 0], [NAN, NAN, INF]], np.float32),
    "ints": np.array([[3, 0, -2], [5, 5, 1]]),
    "bytes": np.array([[200, 100, 0], [255, 1, 1]], np.uint8),
    "bools": np.array([[True, False, True], [False, False, False]]),
    "no_rows": np.zeros((0, 3), np.float32),
    "no_columns": np.zeros((2, 0), np.float32),
}  # fmt: skip
DIMS = [(), (0,), (-1,), (0, True)]
TUPLES = [((0,),), ((-1,), True)]
CALLS = {
    **{name: DIMS + TUPLES for name in ["sum", "mean", "nansum", "nanmean", "amax", "amin", "any", "all"]},
    **{name: DIMS for name in ["prod", "max", "min", "argmax", "argmin", "median", "nanmedian"]},
    **{name: [*DIMS[:3], (0, False), (-1, True, True), (False,)] for name in ["var", "std"]},
    "logsumexp": [(0,), (-1, True), ((0,),)],
    "count_nonzero": [(), (0,), ((0,),)],
    **{name: [(0,), (-1,)] for name in ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"]},
    **{name: [(), (0,), (-1, True)] for name in ["sort", "argsort"]},
    "topk": [(1,), (2, 0), (2, -1, False)],
    "kthvalue": [(1,), (2, 0), (2, -1, True)],
    "mode": [(), (0,), (-1, True)],
    "msort": [()],
    "norm": [(), (1,), (INF,), (3, 0), (2, -1, True), (0,), (-INF, 0)],
    "unique": [(), (True, True, True)],
    "unique_consecutive": [(), (True, True)],
    "diff": [(), (2,), (1, 0)],
    "histc": [(), (4,), (4, -1, 2)],
    "quantile": [(0.3,), (0.5, 0), (1.0, -1, True)],
    "nanquantile": [(0.3,), (0.5, 0), (0.0, -1, True)],
    "renorm": [(2, 0, 1.0)],
}  # fmt: skip
POSITIONS_OF_TIES_ARE_FREE = {"topk", "kthvalue", "median", "nanmedian", "argsort", "sort", "mode"}
GAPS = ["not implemented for", "does not support bool", "topk does not support", "uint8_t without"]


def _run(fn, *args):
    """(results, None), or (None, the exception)."""
    try:
        out = fn(*args)
    except (RuntimeError, IndexError, TypeError, NotImplementedError) as error:
        return None, error
    return list(out) if isinstance(out, tuple) else [out], None


@pytest.mark.parametrize(
    ("name", "kind", "args"),
    [(n, k, a) for (n, calls), k in itertools.product(CALLS.items(), ARRAYS) for a in calls],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:std|var|.*degrees of freedom:UserWarning")
def test_as_pytorch(name, kind, args):
    x = ARRAYS[kind]
    theirs, refused = _run(getattr(torch.from_numpy(x.copy()), name), *args)
    ours, error = _run(getattr(descent.tensor(x), name), *args)
    if refused is not None and any(gap in str(refused) for gap in GAPS):
        assert error is None, "PyTorch has no kernel for this type; that is no reason to refuse"
        return
    if refused is not None:
        assert error is not None, f"PyTorch refuses: {refused}"
        assert isinstance(error, IndexError) == isinstance(refused, IndexError), refused
        return
    assert error is None, error
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.numpy().dtype == b.numpy().dtype
        assert tuple(a.shape) == tuple(b.shape)
        if (
            i == 1
            and kind in ("ties", "ints", "bools", "odd")
            and name in POSITIONS_OF_TIES_ARE_FREE
        ):
            continue
        if i == 0 and name == "argsort" and kind in ("ties", "ints", "bools"):
            continue
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["max", "min", "median", "amax", "amin", "prod", "std", "norm"])
@pytest.mark.parametrize("kind", ["ties", "matrix"])
def test_gradient_of_all_elements(name, kind):
    x = ARRAYS[kind]
    a, b = descent.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    getattr(a, name)().backward()
    getattr(b, name)().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", ["max", "min"])
def test_gradient_along_an_axis_goes_to_the_index(name):
    x = ARRAYS["ties"]
    a, b = descent.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    values, indices = getattr(a, name)(1)
    expected = getattr(b, name)(1)
    assert indices.tolist() == expected.indices.tolist()
    values.sum().backward()
    expected.values.sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
