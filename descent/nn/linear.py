"""Linear layers:   y = x Wᵀ + b   over the last axis; and the two that only change the shape.

Weights start uniform on ±1/√K, with K inputs (LeCun 1998, as PyTorch spells it: Kaiming with a=√5).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from descent.dtypes import get_default_dtype, to_dtype
from descent.nn import functional as F
from descent.nn import init
from descent.nn.module import Module
from descent.nn.parameter import Parameter
from descent.tensor import device as as_device

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten", "empty_parameter"]


def empty_parameter(*shape: int, dtype: Any = None, device: Any = None) -> Parameter:
    """A parameter of this shape that waits for its initial values (zeros until then)."""
    if device is not None:
        as_device(device)
    kind = to_dtype(dtype) if dtype is not None else get_default_dtype()
    return Parameter(np.zeros(shape, kind.np))


class Identity(Module):
    """y = x, whatever the arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class Linear(Module):
    """y = x Wᵀ + b.   x: [..., in_features] → y: [..., out_features]; weight: [out, in]."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = empty_parameter(out_features, in_features, dtype=dtype, device=device)
        b = empty_parameter(out_features, dtype=dtype) if bias else None
        self.register_parameter("bias", b)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        if self.weight.array.size:
            init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Any) -> Any:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """y_n = x₁ᵀ A_n x₂ + b_n.   weight: [out, in1, in2]."""

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        self.weight = empty_parameter(
            out_features, in1_features, in2_features, dtype=dtype, device=device
        )
        b = empty_parameter(out_features, dtype=dtype) if bias else None
        self.register_parameter("bias", b)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x1: Any, x2: Any) -> Any:
        n, i, j = self.weight.array.shape
        left = F.linear(x1, self.weight.permute(0, 2, 1).reshape(n * j, i))  # [..., N·J]
        left = left.reshape(*left.array.shape[:-1], n, j)  # [..., N, J]
        y = (left * x2.reshape(*x2.array.shape[:-1], 1, j)).sum(-1)  # [..., N]
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Module):
    """Join the axes from `start_dim` to `end_dim` into one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split one axis into several."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Any) -> Any:
        shape = x.array.shape
        dim = self.dim % len(shape)
        return x.reshape(*shape[:dim], *self.unflattened_size, *shape[dim + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
