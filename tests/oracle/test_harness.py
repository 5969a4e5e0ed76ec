"""The harness itself: PyTorch passes against PyTorch, every kind of fault is caught and counted."""

import numpy as np
import pytest
import torch

from .carry import MEMORY, NUMBERS, Carrier
from .measure import Result, measure, measure_op
from .opinfo_db import load
from .report import coverage_page, entirely_passing

pytestmark = pytest.mark.oracle


class Altered:
    """PyTorch with some functions replaced (None: taken away)."""

    def __init__(self, **functions):
        self._functions = functions

    def __getattr__(self, name):
        if name in self._functions:
            return self._functions[name]
        return getattr(torch, name)


def run(key, dtype=torch.float32, **functions):
    return measure(load()[key], dtype, Altered(**functions))


@pytest.mark.parametrize(
    "key",
    "softmax.with_dtype gather sort max.reduction_with_dim randn rand_like einsum where zero_ cat "
    "nn.functional.batch_norm nn.functional.embedding uniform T item broadcast_shapes empty_like "
    "split __getitem__ index_put as_strided tensor_split normal.number_mean".split(),
)
def test_pytorch_passes_against_itself(key):
    results = measure_op(load()[key], torch)
    assert entirely_passing(results) == [key], results


def _half_gradient(x):
    return (x.sin() + x.sin().detach()) / 2


@pytest.mark.parametrize(
    ("key", "replacement", "message"),
    [
        ("sin", lambda x: x.sin() + 1e-3, "output differs"),
        ("sin", lambda x: x.sin().double(), "is float64, expected float32"),
        ("sin", lambda x: x.sin()[None], "has shape"),
        ("sin", lambda x: x.sin().detach().numpy(), "expected a tensor"),
        ("sin", lambda x: (x.sin(), x.sin()), "2 outputs instead of 1"),
        ("sin", lambda x: 1 / 0, "forward raised ZeroDivisionError"),
        ("sin", lambda x: x.sin() * float("nan"), "output differs"),
    ],
)
def test_wrong_forward_is_caught(key, replacement, message):
    result = run(key, **{key: replacement})
    assert message in result.failure
    assert (result.forward, result.gradient_due) == (0, 0)
    assert not result.passed


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        (_half_gradient, "gradient of input 0 differs"),
        (lambda x: x.sin().detach(), "requires_grad=False, PyTorch's True"),
    ],
)
def test_wrong_gradient_is_caught(replacement, message):
    result = run("sin", sin=replacement)
    assert message in result.failure
    assert (result.forward, result.gradient, result.gradient_due) == (1, 0, 1)
    assert not result.passed


def test_a_backward_that_raises_is_caught():
    class Stubborn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.sin()

        @staticmethod
        def backward(ctx, dy):
            raise NotImplementedError("no gradient")

    assert "backward raised NotImplementedError" in run("sin", sin=Stubborn.apply).failure


def test_float64_arbitrates_only_where_pytorch_is_off():
    """layer_norm of one element: the weight's gradient is 0, PyTorch's float32 one is −2.4e-5."""
    functional = torch.nn.functional

    class Functional:
        def __init__(self, by):
            self.by = by

        def layer_norm(self, x, shape, w=None, b=None, eps=1e-5):
            w, b = (p if p is None else p.double() for p in (w, b))
            y = functional.layer_norm(x.double(), shape, w, b, eps)
            return (y + self.by).to(x.dtype)

    def measured(by):
        nn = type("nn", (), {"functional": Functional(by)})
        return run("nn.functional.layer_norm", nn=nn)

    exact, wrong = measured(0), measured(1e-3)
    assert exact.passed, exact
    assert exact.arbitrated > 0
    assert not wrong.passed
    assert "output differs" in wrong.failure
    assert run("nn.functional.dropout").arbitrated == 0


def test_wrong_python_values_are_caught():
    assert "expected True" in run("equal", equal=lambda a, b: False).failure
    tensors = run("equal", equal=lambda a, b: torch.tensor(torch.equal(a, b)))
    assert tensors.forward == 0
    assert "Tensor" in tensors.failure


def test_one_bad_sample_is_enough_to_fail():
    result = run("exp", exp=lambda x: x.exp() if x.ndim else x.exp() + 1)
    assert (result.samples, result.forward) == (3, 2)
    assert not result.passed


def test_changed_inputs_do_not_reach_the_other_side():
    """A library that spoils its inputs spoils only its own copy."""

    def spoil(x):
        y = x.exp()
        x.detach().zero_()
        return y.detach()

    result = run("exp", exp=spoil)
    assert result.forward == result.samples


def test_missing_functions():
    class Nothing:
        pass

    (first, _) = measure_op(load()["sin"], Nothing())
    assert first.missing
    assert not first.passed
    assert entirely_passing([first]) == []


def test_left_out_samples_are_counted_and_cost_the_pass():
    result = measure(load()["to"], torch.float32, torch)
    assert result.left_out == {MEMORY: 12}
    assert result.forward == result.samples - 12
    assert not result.passed
    everything = measure(load()["bfloat16"], torch.float32, torch)
    assert everything.left_out[NUMBERS] + everything.left_out[MEMORY] == everything.samples == 5


def test_both_float_types_must_pass():
    good = [Result("a", d, samples=1, forward=1) for d in ("float32", "float64")]
    assert entirely_passing(good) == ["a"]
    assert entirely_passing([good[0], Result("a", "float64", samples=2, forward=1)]) == []
    assert entirely_passing([Result("b", "int64", samples=1, forward=1)]) == []
    assert entirely_passing([Result("c", d) for d in ("float32", "float64")]) == []  # no samples


def test_carrier_keeps_strides_offsets_and_aliases():
    base = torch.arange(12.0).reshape(3, 4)
    views = [base.T[1:], base[:, ::2], torch.ones(1).expand(3), torch.empty(0, 2), base.sum()]
    carry = Carrier(torch)
    for x in views:
        y = carry(x)
        assert torch.equal(x, y)
        assert x.numel() == 0 or x.stride() == y.stride()
        assert x.numel() == 0 or x.data_ptr() != y.data_ptr()
    again = carry([base, (base, {"k": base})])
    assert again[0] is again[1][0] is again[1][1]["k"]


def test_page_states_what_was_measured():
    results = [
        Result("add", d, samples=2, forward=2, gradient_due=2, gradient=2)
        for d in ("float32", "float64")
    ]
    results += [Result("fft.fft", "float32", missing=True)]
    results += [Result("sum", "float32", samples=2, forward=1, failure="output differs | here")]
    page = coverage_page(results, ["add"])
    assert "**1 OpInfos pass" in page
    assert "| `add` | float32 | 2 | 2 | 2/2 |" in page
    assert "complex numbers, which are left out** (1): `fft.fft`" in page
    assert r"differs \| here" in page
    assert np.all([line.count("|") >= 6 for line in page.splitlines() if line.startswith("| `")])
