"""Normalisation layers: subtract a mean, divide by a deviation, then scale and shift as learned.

LayerNorm, RMSNorm   over the last axes of each example    arXiv:1607.06450, arXiv:1910.07467
BatchNorm1d          over the batch, per channel           arXiv:1502.03167
GroupNorm            over groups of channels               arXiv:1803.08494
InstanceNorm1d       over time, per example and channel    arXiv:1607.08022
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from descent.nn import functional as F
from descent.nn import init
from descent.nn.linear import empty_parameter
from descent.nn.module import Module
from descent.tensor import Tensor

__all__ = ["BatchNorm1d", "GroupNorm", "InstanceNorm1d", "LayerNorm", "RMSNorm"]


def _shape(normalized_shape: Any) -> tuple[int, ...]:
    if isinstance(normalized_shape, numbers.Integral):
        return (int(normalized_shape),)
    return tuple(normalized_shape)


class LayerNorm(Module):
    """y = (x − mean) / √(var + eps) · weight + bias over the last axes, of `normalized_shape`."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        make = lambda: empty_parameter(*self.normalized_shape, dtype=dtype, device=device)  # noqa: E731
        self.register_parameter("weight", make() if elementwise_affine else None)
        self.register_parameter("bias", make() if elementwise_affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        _scale_one_shift_zero(self)

    def forward(self, x: Any) -> Any:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / √(mean x² + eps) · weight over the last axes; eps None: the dtype's epsilon."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        weight = empty_parameter(*self.normalized_shape, dtype=dtype, device=device)
        self.register_parameter("weight", weight if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Any) -> Any:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """x: [B, C, …]: each group of C / num_groups channels is normalised by itself."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.affine = affine
        make = lambda: empty_parameter(num_channels, dtype=dtype, device=device)  # noqa: E731
        self.register_parameter("weight", make() if affine else None)
        self.register_parameter("bias", make() if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        _scale_one_shift_zero(self)

    def forward(self, x: Any) -> Any:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _Running(Module):
    """Statistics gathered in training and used in evaluation:  r ← (1 − momentum) r + momentum s.

    momentum None: the plain mean of all batches so far.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        make = lambda: empty_parameter(num_features, dtype=dtype, device=device)  # noqa: E731
        self.register_parameter("weight", make() if affine else None)
        self.register_parameter("bias", make() if affine and bias else None)
        zeros = make().array
        start = {
            "running_mean": zeros,
            "running_var": zeros + 1,
            "num_batches_tracked": np.array(0),
        }
        for name, value in start.items():
            self.register_buffer(name, Tensor(value) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the gathered statistics."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Scale 1, shift 0, no statistics."""
        self.reset_running_stats()
        _scale_one_shift_zero(self)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_Running):
    """x: [N, C] or [B, C, T]: every channel is normalised over everything else."""

    def forward(self, x: Any) -> Any:
        if x.array.ndim not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {x.array.ndim}D input)")
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            init.constant_(self.num_batches_tracked, self.num_batches_tracked.array + 1)
            if self.momentum is None:
                factor = 1.0 / float(self.num_batches_tracked.array)
        kept = not self.training or self.track_running_stats
        return F.batch_norm(
            x,
            self.running_mean if kept else None,
            self.running_var if kept else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            factor,
            self.eps,
        )


class InstanceNorm1d(_Running):
    """x: [C, T] or [B, C, T]: every channel of every example is normalised over time."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, x: Any) -> Any:
        if x.array.ndim not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {x.array.ndim}D input)")
        batch = x if x.array.ndim == 3 else x.reshape(1, *x.array.shape)  # [B, C, T]
        if self.track_running_stats and not self.training:
            y = F.batch_norm(
                batch, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        else:
            if self.track_running_stats:
                self._update(batch.array)
            # one group per channel: the same statistics, per example and channel
            y = F.group_norm(batch, self.num_features, self.weight, self.bias, self.eps)
        return y.reshape(*x.array.shape)

    def _update(self, batch: np.ndarray) -> None:
        rate = self.momentum or 0.0
        seen_mean, seen_var = batch.mean((0, 2)), batch.var(2, ddof=1).mean(0)
        for running, seen in ((self.running_mean, seen_mean), (self.running_var, seen_var)):
            init.constant_(running, (1 - rate) * running.array + rate * seen)


def _scale_one_shift_zero(module: Any) -> None:
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)
