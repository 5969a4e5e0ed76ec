"""Activations with corners: straight pieces joined. Derivatives at the corners are PyTorch's."""

from __future__ import annotations

import numpy as np

from descent.op import elementwise
from descent.ops.blocks import masked
from descent.ops.lanewise import in_lanes
from descent.ops.vectormath import ZERO

__all__ = [
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "prelu", "relu",
    "softshrink", "threshold",
]  # fmt: skip


@elementwise
def relu(x):
    """max(x, 0). Nair & Hinton 2010."""
    return 0 if x < 0 else x


def relu32(x):
    """relu of a float32."""
    return ZERO if x < ZERO else x


@relu.numpy
@in_lanes(relu32)
def _(x):
    return np.maximum(x, 0)


@relu.grad
def _(y, dy):
    return dy if y > 0 else 0 * dy


def relu_grad32(y, dy):
    """The derivative of relu, from its result."""
    return dy if y > ZERO else ZERO


@relu.derivatives["x"].numpy
@in_lanes(relu_grad32)
def _(y, dy):
    return masked(dy, y > 0)


@elementwise
def leaky_relu(x, slope=0.01):
    """x where x > 0, else slope · x. Maas et al. 2013."""
    return x if x > 0 else slope * x


@leaky_relu.numpy
def _(x, slope):
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


@leaky_relu.grad
def _(x, dy, slope):
    return dy if x > 0 else slope * dy


@leaky_relu.derivatives["x"].numpy
def _(x, dy, slope):
    slopes = np.array([slope, 1], dy.dtype)
    return dy * slopes.take(np.asarray(x > 0).view(np.int8))


@elementwise
def prelu(x, weight):
    """x where x > 0, else weight · x with a learnt weight. arXiv:1502.01852."""
    return x if x > 0 else weight * x


@prelu.numpy
def _(x, weight):
    return np.maximum(x, 0) + weight * np.minimum(x, 0)


@prelu.grad("x")
def _(x, weight, dy):
    return dy if x > 0 else weight * dy


@prelu.derivatives["x"].numpy
def _(x, weight, dy):
    return np.where(x > 0, dy, weight * dy)


@prelu.grad("weight")
def _(x, dy):
    return 0 * dy if x > 0 else x * dy


@prelu.derivatives["weight"].numpy
def _(x, dy):
    return np.minimum(x, 0) * dy


@elementwise
def threshold(x, limit=0.0, value=0.0):
    """x where it exceeds the limit, else a constant."""
    return value if x <= limit else x


@threshold.numpy
def _(x, limit, value):
    return np.where(x <= limit, value, x)


@threshold.grad
def _(x, dy, limit):
    return 0 * dy if x <= limit else dy


@threshold.derivatives["x"].numpy
def _(x, dy, limit):
    return masked(dy, ~(x <= limit))


@elementwise
def hardtanh(x, low=-1.0, high=1.0):
    """x cut off at `low` and `high`; derivative 0 at both."""
    return low if x < low else high if x > high else x


@hardtanh.numpy
def _(x, low, high):
    return np.clip(x, low, high)


@hardtanh.grad
def _(x, dy, low, high):
    return 0 * dy if x <= low or x >= high else dy


@hardtanh.derivatives["x"].numpy
def _(x, dy, low, high):
    return masked(dy, ~((x <= low) | (x >= high)))


@elementwise
def hardsigmoid(x):
    """min(max(x + 3, 0), 6) / 6: a sigmoid of straight pieces. arXiv:1905.02244."""
    return 0 if x < -3 else 1 if x > 3 else (x + 3) / 6


@hardsigmoid.numpy
def _(x):
    return np.clip(x + 3, 0, 6) / 6


@hardsigmoid.grad
def _(x, dy):
    return dy / 6 if -3 < x < 3 else 0 * dy


@hardsigmoid.derivatives["x"].numpy
def _(x, dy):
    return masked(dy / 6, (x > -3) & (x < 3))


@elementwise
def hardswish(x):
    """x · min(max(x + 3, 0), 6) / 6. arXiv:1905.02244."""
    return 0 * x if x <= -3 else x if x >= 3 else x * (x + 3) / 6


@hardswish.numpy
def _(x):
    return x * np.clip(x + 3, 0, 6) / 6


@hardswish.grad
def _(x, dy):
    return 0 * dy if x <= -3 else dy if x >= 3 else dy * (x / 3 + 0.5)


@hardswish.derivatives["x"].numpy
def _(x, dy):
    return np.where(x <= -3, 0, np.where(x < 3, dy * (x / 3 + 0.5), dy))


@elementwise
def hardshrink(x, lambd=0.5):
    """0 where −λ ≤ x ≤ λ, else x."""
    return 0 if -lambd <= x <= lambd else x


@hardshrink.numpy
def _(x, lambd):
    return masked(x, ~((x >= -lambd) & (x <= lambd)))


@hardshrink.grad
def _(x, dy, lambd):
    return 0 * dy if -lambd <= x <= lambd else dy


@elementwise
def softshrink(x, lambd=0.5):
    """x moved towards 0 by λ, 0 where −λ ≤ x ≤ λ."""
    return x - lambd if x > lambd else x + lambd if x < -lambd else 0 * x  # NaN stays


@softshrink.numpy
def _(x, lambd):
    return np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, 0 * x))


@softshrink.grad
def _(x, dy, lambd):
    return 0 * dy if -lambd <= x <= lambd else dy


def shrunk_gradient(x, dy, lambd):
    """dy, but 0 where −λ ≤ x ≤ λ."""
    return masked(dy, ~((x >= -lambd) & (x <= lambd)))


hardshrink.derivatives["x"].numpy(shrunk_gradient)
softshrink.derivatives["x"].numpy(shrunk_gradient)
