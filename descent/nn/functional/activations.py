"""Activations under the names of `torch.nn.functional`; `inplace=True` writes into the input."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from descent.tensor import activating
from descent.tensor.activating import (
    gelu,
    glu,
    hardshrink,
    logsigmoid,
    prelu,
    relu_,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
)
from descent.tensor.calling import in_place
from descent.tensor.inplace import rewrite
from descent.tensor.pointwise import sigmoid, tanh

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "logsigmoid", "mish", "prelu", "relu",
    "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid", "silu", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip


def _may_overwrite(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with PyTorch's last argument, `inplace`."""
    parameters = list(inspect.signature(function).parameters.values())

    @functools.wraps(function)
    def wrapped(input: Any, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        if len(args) == len(parameters):  # given by position, after all the others
            args, inplace = args[:-1], args[-1]
        if inplace:
            return rewrite(input, function, *args, **kwargs)
        return function(input, *args, **kwargs)

    last = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False)
    wrapped.__signature__ = inspect.Signature([*parameters, last])  # type: ignore[attr-defined]
    return wrapped


relu, relu6 = _may_overwrite(activating.relu), _may_overwrite(activating.relu6)
leaky_relu, rrelu = _may_overwrite(activating.leaky_relu), _may_overwrite(activating.rrelu)
elu, celu = _may_overwrite(activating.elu), _may_overwrite(activating.celu)
selu, silu = _may_overwrite(activating.selu), _may_overwrite(activating.silu)
mish, hardtanh = _may_overwrite(activating.mish), _may_overwrite(activating.hardtanh)
hardsigmoid = _may_overwrite(activating.hardsigmoid)
hardswish = _may_overwrite(activating.hardswish)
threshold = _may_overwrite(activating.threshold)

leaky_relu_, rrelu_ = in_place(activating.leaky_relu), in_place(activating.rrelu)
elu_, celu_, selu_ = map(in_place, (activating.elu, activating.celu, activating.selu))
hardtanh_, threshold_ = in_place(activating.hardtanh), in_place(activating.threshold)
