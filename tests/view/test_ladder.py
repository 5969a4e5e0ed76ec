"""Every rung of an op is timed on inputs that fit it, and the command prints what was timed."""

import numpy as np
import pytest
from typer.testing import CliRunner

from descent.cli.main import app
from descent.nn import functional as F
from descent.tensor import Tensor
from descent.view import examples, ladder
from descent.view.errors import QuestionError
from descent.view.ops import all_ops, find_op


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    monkeypatch.setattr(examples, "NUMBERS", (40, 40_000))
    monkeypatch.setattr(examples, "ROWS", ((5, 7), (90, 500)))
    monkeypatch.setattr(ladder, "PATIENCE_S", 0.0)


def test_every_rung_of_the_forward_and_of_the_gradient_is_timed():
    rungs = list(ladder.climb(find_op("cross_entropy")))
    names = [(r.op, r.rung) for r in rungs if r.case == "90×500"]
    ops = ["cross_entropy"] * 4 + ["cross_entropy dx"] * 3
    assert names == list(zip(ops, ["python", "loops", "numpy", "tuned", "loops", "numpy", "tuned"]))
    assert all(r.seconds > 0 for r in rungs)
    first, second = rungs[:2]
    assert first.scaled
    assert first.times_below is None
    assert second.times_below == pytest.approx(first.seconds / second.seconds)
    assert second.operations == 4 * 5 * 7
    assert second.bytes == 4 * (2 * 5 * 7 + 5 + 5) + 8 * 5


def test_an_elementwise_op_has_its_compiled_loop_on_top():
    rungs = list(ladder.climb(find_op("gelu_tanh")))
    forward = [r.rung for r in rungs if r.op == "gelu_tanh" and r.case.startswith("40,000")]
    assert forward == ["python", "loops", "numpy", "tuned"]


@pytest.mark.parametrize("name", [*examples.MADE, "softmax", "rms_norm", "var", "add", "elu"])
def test_examples_fit_their_op(name):
    op = find_op(name)
    for example in examples.examples_of(op):
        if sum(a.size for a in example.arrays) < 300_000:
            (y, *_), _ = op.forward(example.arrays, example.meta)
            assert np.isfinite(y).all()


def test_the_convolution_example_is_a_convolution():
    x, w, at = examples._convolved(2, 3, 4, 6, 3)
    (y,), _ = find_op("conv").forward([x, w, at], {})
    expected = F.conv2d(Tensor(x.reshape(2, 3, 8, 8)), Tensor(w.reshape(4, 3, 3, 3)))
    np.testing.assert_array_equal(y.reshape(expected.shape), expected.array)


def test_an_op_without_examples_says_where_to_describe_them():
    with pytest.raises(QuestionError, match=r"examples\.py"):
        list(ladder.climb(find_op("cholesky")))
    assert sum(examples.has_examples(op) for op in all_ops().values()) > 100


def test_the_command():
    result = CliRunner().invoke(app, ["bench", "ladder", "softmax", "--no-peer"])
    assert result.exit_code == 0, result.output
    assert "softmax on 5×7" in result.output
    assert "softmax dx on 90×500" in result.output
    assert "PyTorch was not asked for" in result.output


@pytest.mark.oracle
def test_beside_pytorch():
    result = CliRunner().invoke(app, ["bench", "ladder", "exp"])
    assert result.exit_code == 0, result.output
    assert result.output.count("PyTorch") >= 3
