"""Elementwise functions as a user meets them: operators, numbers, in place, wrong input."""

import math

import numpy as np
import pytest

import descent
import descent.nn.functional as F
from descent import Tensor, tensor
from descent.tensor import activating, comparing, pointwise, rounding, special


def test_operators_mix_tensors_and_numbers():
    x = tensor([1.0, 2.0, 4.0])
    assert (1 - x).tolist() == [0.0, -1.0, -3.0]
    assert (8 / x).tolist() == [8.0, 4.0, 2.0]
    assert (2**x).tolist() == [2.0, 4.0, 16.0]
    assert (7 % x).tolist() == [0.0, 1.0, 3.0]
    assert (9 // x).tolist() == [9.0, 4.0, 2.0]
    assert (x**-1).tolist() == [1.0, 0.5, 0.25]
    assert abs(-x).tolist() == [1.0, 2.0, 4.0]
    assert (np.float32(2) * x).tolist() == [2.0, 4.0, 8.0]


def test_comparisons_are_elementwise_and_hash_is_identity():
    x = tensor([1, 2, 3])
    assert (x == 2).tolist() == [False, True, False]
    assert (x != 2).tolist() == [True, False, True]
    assert ((x > 1) & ~(x >= 3)).tolist() == [False, True, False]
    assert ((x < 2) | (x == 3)).tolist() == [True, False, True]
    assert ((x < 2) ^ (x < 3)).tolist() == [False, True, False]
    assert (x == None) is False  # noqa: E711
    assert (x != "text") is True
    assert len({x, tensor([1, 2, 3]), x}) == 2


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda i: i + 1.5, descent.float32),
        (lambda i: i * 2, descent.int64),
        (lambda i: i / 2, descent.float32),
        (lambda i: i // 2, descent.int64),
        (lambda i: descent.sqrt(i), descent.float32),
        (lambda i: i + tensor(1.0, dtype=descent.float64), descent.float64),
        (lambda i: tensor([1.0]) + tensor(1.0, dtype=descent.float64), descent.float32),
        (lambda i: i > 1, descent.bool),
        (lambda i: descent.where(i > 1, i, 0.5), descent.float32),
        (lambda i: descent.clamp(i, min=1.5), descent.float32),
        (lambda i: descent.square(i > 1), descent.int64),
        (lambda i: descent.float_power(i, 2), descent.float64),
    ],
)
def test_result_types(make, expected):
    assert make(tensor([1, 2, 3])).dtype is expected


def test_integers_divide_as_python_does():
    a, b = tensor([7, -7, 7, -7]), tensor([2, 2, -2, -2])
    assert (a // b).tolist() == [3, -4, -4, 3]
    assert (a % b).tolist() == [1, 1, -1, -1]
    assert descent.div(a, b, rounding_mode="trunc").tolist() == [3, -3, -3, 3]
    assert descent.fmod(a, b).tolist() == [1, -1, 1, -1]
    assert descent.gcd(tensor([12, -18]), tensor([8, 12])).tolist() == [4, 6]
    assert descent.lcm(tensor([4, 0]), tensor([6, 5])).tolist() == [12, 0]
    assert (2 ** tensor([-1, 3])).tolist() == [0, 8]


def test_in_place_forms_write_into_the_same_memory_and_keep_the_gradient():
    x = tensor([-1.0, 0.5, 2.0], requires_grad=True)
    y = x * 2
    memory = y.data_ptr()
    y.relu_().mul_(3).clamp_(max=6).sqrt_()
    assert y.data_ptr() == memory
    y.sum().backward()
    z = tensor([-1.0, 0.5, 2.0], requires_grad=True)
    descent.sqrt(descent.clamp(descent.relu(z * 2) * 3, max=6)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy()[1:], z.grad.numpy()[1:])
    with pytest.raises(RuntimeError, match="leaf"):
        x.exp_()
    with pytest.raises(RuntimeError, match="can't be cast"):
        tensor([1, 2]).exp_()


def test_every_in_place_method_agrees_with_its_function():
    families = (pointwise, comparing, rounding, special, activating)
    names = [f"{n}_" for family in families for n in family.__all__ if hasattr(Tensor, f"{n}_")]
    x = tensor([0.3, 0.6, 0.9])
    checked = 0
    for name in names:
        function = getattr(descent, name[:-1])
        for others in ((), (tensor([0.5, 0.25, 2.0]),)):
            try:
                expected = function(x, *others)
            except (TypeError, RuntimeError):
                continue
            if isinstance(expected, Tensor) and expected.shape == x.shape:
                y = x.clone()
                got = getattr(y, name)(*others)
                assert got is y
                assert y.dtype is x.dtype
                np.testing.assert_allclose(y.numpy(), expected.numpy().astype("f4"), err_msg=name)
                checked += 1
    assert checked >= 60


def test_where_alone_gives_indices():
    rows, columns = descent.where(tensor([[True, False], [False, True]]))
    assert rows.tolist() == [0, 1]
    assert columns.tolist() == [0, 1]


def test_masked_fill_broadcasts_and_sends_the_gradient_to_the_value():
    x = descent.zeros(2, 3).requires_grad_()
    value = tensor(-math.inf, requires_grad=True)
    y = x.masked_fill(tensor([True, False, True]), value)
    assert y.tolist() == [[-math.inf, 0.0, -math.inf]] * 2
    y.backward(descent.zeros(2, 3) + 1)
    assert x.grad.tolist() == [[0.0, 1.0, 0.0]] * 2
    assert value.grad.item() == 4.0


def test_close_and_equal():
    a = tensor([1.0, math.nan])
    assert not descent.allclose(a, a)
    assert descent.allclose(a, a, equal_nan=True)
    assert descent.equal(tensor([1, 2]), tensor([1, 2]))
    assert not descent.equal(tensor([1, 2]), tensor([[1, 2]]))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: descent.exp(1.0), TypeError, "must be Tensor, not float"),
        (lambda: tensor([1.0]) + "a", TypeError, "str"),
        (lambda: tensor([1.0]) < "a", TypeError, "str"),
        (lambda: -tensor([True]), RuntimeError, "logical_not"),
        (lambda: tensor([True]) - 1, RuntimeError, "logical_xor"),
        (lambda: tensor([1, 2]) // 0, RuntimeError, "ZeroDivisionError"),
        (lambda: tensor([1, 2]) ** -1, RuntimeError, "negative integer powers"),
        (lambda: ~tensor([1.0]), RuntimeError, "booleans and integers"),
        (lambda: tensor([1.0]).masked_fill(tensor([1]), 0), RuntimeError, "boolean masks"),
        (lambda: descent.where(tensor([1]), 1, 2), RuntimeError, "boolean tensor"),
        (lambda: descent.clamp(tensor([1.0])), RuntimeError, "must not be None"),
        (lambda: descent.div(tensor([1.0]), 2, rounding_mode="up"), RuntimeError, "'up'"),
        (lambda: F.gelu(tensor([1.0]), approximate="fast"), RuntimeError, "'fast'"),
        (lambda: F.glu(tensor([1.0, 2.0, 3.0])), RuntimeError, "size 3"),
        (lambda: F.hardtanh(tensor([1.0]), 2, 1), ValueError, "2 > 1"),
        (lambda: F.softshrink(tensor([1.0]), -1), RuntimeError, "-1"),
        (lambda: F.prelu(tensor([[1.0, 2.0]]), tensor([1.0, 2.0, 3.0])), RuntimeError, "axis 1"),
        (lambda: descent.isclose(tensor([1.0]), tensor([1])), RuntimeError, "int64"),
    ],
)
def test_wrong_input_is_explained(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_activations_may_overwrite_their_input():
    x = tensor([-1.0, 2.0])
    assert F.relu(x, inplace=True) is x
    assert x.tolist() == [0.0, 2.0]
    y = tensor([-1.0, 2.0])
    assert F.leaky_relu(y, 0.5, True) is y
    assert y.tolist() == [-0.5, 2.0]


def test_glu_is_a_gated_half():
    x = tensor([[1.0, 2.0, 0.0, 0.0]], requires_grad=True)
    y = F.glu(x)
    assert y.tolist() == [[0.5, 1.0]]
    y.sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0.25, 0.5]]
