"""Ways to write a reduction: NumPy's spellings, named results, two operands, clear refusals."""

import numpy as np
import pytest

import descent

X = descent.tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]])


def test_numpys_spellings():
    for name in ("sum", "mean", "std", "var", "prod", "amax", "argmax", "any", "all"):
        f = getattr(X, name)
        assert f(axis=1, keepdims=True).tolist() == f(1, keepdim=True).tolist()
    assert X.max(axis=0).values.tolist() == [7, 5, 7]
    assert X.cumsum(axis=1).tolist() == X.cumsum(1).tolist()
    with pytest.raises(TypeError, match="'axes'"):
        X.sum(axes=1)


def test_named_results():
    values, indices = X.max(1)
    assert (values.tolist(), indices.tolist()) == ([5, 7], [1, 0])
    assert X.sort(1).indices.tolist() == [[0, 2, 1], [1, 0, 2]]
    assert X.aminmax().min.item() == 0
    assert repr(X.topk(1, 0)).startswith("torch.return_types.topk(\nvalues=")


def test_two_operands():
    assert descent.max(X, descent.tensor(3.0)).tolist() == [[3, 5, 3], [7, 3, 7]]
    assert X.min(other=descent.tensor(3.0)).tolist() == [[1, 3, 2], [3, 0, 3]]


def test_variance_words():
    x = descent.tensor([1.0, 3.0])
    assert x.var(unbiased=False).item() == x.var(correction=0).item() == x.var(False).item() == 1
    assert [v.item() for v in descent.var_mean(x)] == [2, 2]
    with pytest.raises(TypeError, match="not both"):
        x.var(unbiased=True, correction=0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: descent.tensor([1, 2]).mean(), RuntimeError, "floating point"),
        (lambda: X.sum(2), IndexError, "Dimension out of range"),
        (lambda: X.sum((0, 0)), RuntimeError, "multiple times"),
        (lambda: descent.zeros(0).max(), RuntimeError, "dim"),
        (lambda: descent.zeros(2, 0).argmax(1), IndexError, "non-zero size"),
        (lambda: X.topk(4), RuntimeError, "out of range"),
        (lambda: X.kthvalue(0), RuntimeError, "out of range"),
        (lambda: X.quantile(1.5), RuntimeError, r"\[0, 1\]"),
        (lambda: X.quantile(0.5, interpolation="cubic"), RuntimeError, "midpoint"),
        (lambda: descent.tensor([1.5]).bincount(), RuntimeError, "non-negative integral"),
        (lambda: X.sum_to_size(4), RuntimeError, "not expandable"),
        (lambda: descent.gradient(X[:, :1], dim=1), RuntimeError, "edge_order"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_in_place_scans_keep_the_tape():
    x = descent.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y.cumsum_(0)
    y.sum().backward()
    assert x.grad.tolist() == [6, 4, 2]


def test_empty_reductions_have_their_identity():
    nothing = descent.zeros(0)
    assert nothing.sum().item() == 0
    assert nothing.prod().item() == 1
    assert nothing.logsumexp(0).item() == -np.inf
    assert not nothing.any().item()
    assert nothing.all().item()
    assert np.isnan(nothing.mean().item())
