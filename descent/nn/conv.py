"""Convolution over time:  y[b, n, t] = bias_n + Σ_{c,k} w[n, c, k] x[b, c, t·stride + k·dilation].

LeCun et al. 1989; Waibel et al. 1989 in time. Weights start as those of `Linear`, with C·K inputs.
"""

from __future__ import annotations

import math
from typing import Any

from descent.nn import functional as F
from descent.nn import init
from descent.nn.linear import empty_parameter
from descent.nn.module import Module

__all__ = ["Conv1d"]


def _one(value: Any) -> int:
    return int(value[0]) if isinstance(value, (tuple, list)) else int(value)


class Conv1d(Module):
    """x: [B, C, T] or [C, T] → [B, N, T']; weight: [N, C / groups, K].

    padding: a number, "valid" (none) or "same" (T' = T; stride 1 only).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels ({in_channels}) and out_channels ({out_channels}) must be divisible "
                f"by groups ({groups})"
            )
        if padding == "same" and _one(stride) != 1:
            raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', "
                f"but got padding_mode='{padding_mode}'"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = (_one(kernel_size),), (_one(stride),)
        self.padding = padding if isinstance(padding, str) else (_one(padding),)
        self.dilation, self.groups, self.padding_mode = (_one(dilation),), groups, padding_mode
        self.weight = empty_parameter(
            out_channels, in_channels // groups, *self.kernel_size, dtype=dtype, device=device
        )
        self.register_parameter(
            "bias", empty_parameter(out_channels, dtype=dtype) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.array.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            x, padding = F.pad(x, self._both_sides(), mode=self.padding_mode), 0
        return F.conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _both_sides(self) -> tuple[int, int]:
        if self.padding == "same":
            total = self.dilation[0] * (self.kernel_size[0] - 1)
            return total // 2, total - total // 2
        return int(self.padding[0]), int(self.padding[0])

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,):
            text += f", padding={self.padding}"
        if self.dilation != (1,):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text + (
            "" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode}"
        )
