"""The old constructors, and isinstance, under `torch`."""

import numpy as np
import pytest
import torch

import descent
from descent.compat.torch_like.constructing import TENSOR_TYPES, Tensor


@pytest.mark.oracle
@pytest.mark.parametrize("args", [([1, 2],), (3.5 * np.ones(2),), ([[1.5, 2]],), ((1, 2),), ()])
@pytest.mark.parametrize("name", ["Tensor", "FloatTensor", "DoubleTensor", "LongTensor"])
def test_data_as_pytorch_takes_it(name, args):
    if name == "LongTensor":
        args = tuple(np.asarray(a).astype(np.int64).tolist() for a in args)
    elif args and isinstance(args[0], np.ndarray):
        args = (args[0].tolist(),)
    ours = (Tensor if name == "Tensor" else TENSOR_TYPES[name])(*args)
    theirs = getattr(torch, name)(*args)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_sizes():
    assert Tensor(2, 3).shape == (2, 3)
    assert Tensor(descent.Size([4, 1])).shape == (4, 1)
    assert TENSOR_TYPES["LongTensor"](2).dtype == descent.int64
    with pytest.raises(TypeError, match=r"takes sizes \(integers\) or data"):
        Tensor("text")


def test_isinstance_and_methods():
    x = descent.ones(2)
    assert isinstance(x, Tensor)
    assert isinstance(x, TENSOR_TYPES["FloatTensor"])
    assert not isinstance(x, TENSOR_TYPES["LongTensor"])
    assert not isinstance(x.numpy(), Tensor)
    assert isinstance(descent.nn.Parameter(x), Tensor)
    assert issubclass(descent.nn.Parameter, Tensor)
    assert type(x) == Tensor  # noqa: E721 - scripts write it
    assert {Tensor: 1}[descent.Tensor] == 1
    assert Tensor.sum(x).item() == 2
    with pytest.raises(AttributeError):
        Tensor.no_such_method()
