"""Descent: from a live ML service down to the single multiplication and its derivative.

The floors, bottom up: `descent.scalar` (Value), `descent.ops`, tensors and autograd (this
namespace, under PyTorch's names), `descent.nn`, `descent.optim`, `descent.models`, `descent.train`,
`descent.serve`, and `descent up GOAL` on the command line.
"""

from descent.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from descent.dtypes import (
    bool_ as bool,
)
from descent.dtypes import (
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)
from descent.tensor import Size, Tensor, activating, comparing, device, pointwise

# movement and joining
# indexing and gathering
# elementwise
from descent.tensor.activating import *  # noqa: F403
from descent.tensor.comparing import *  # noqa: F403

# creation
from descent.tensor.creating import from_numpy, tensor, zeros
from descent.tensor.pointwise import *  # noqa: F403

# products, probability
from descent.tensor.probability import log_softmax, softmax
from descent.tensor.products import (
    addbmm,
    addmm,
    addmv,
    addr,
    baddbmm,
    bmm,
    cross,
    dot,
    ger,
    inner,
    matmul,
    mm,
    mv,
    outer,
    trace,
    vdot,
)

# reductions, scans, sorting
from descent.tensor.reducing import mean, sum
from descent.tensor.shaping import clone, permute, reshape, transpose

float, double, half, long, int, short = float32, float64, float16, int64, int32, int16

__version__ = "0.1.0"

__all__ = [
    "Size", "Tensor", "device", "dtype", "bool", "double", "float", "float16", "float32", "float64",
    "half", "int", "int8", "int16", "int32", "int64", "long", "short", "uint8",
    "enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled",
    "get_default_dtype", "set_default_dtype",
    "from_numpy", "tensor", "zeros",
    *activating.__all__, *comparing.__all__, *pointwise.__all__,  # elementwise
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cross", "dot", "ger", "inner", "matmul",
    "mm", "mv", "outer", "trace", "vdot", "log_softmax", "softmax",
    "mean", "sum",
    "clone", "permute", "reshape", "transpose",
]  # fmt: skip
