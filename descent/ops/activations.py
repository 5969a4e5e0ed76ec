"""Activations: the bends between the layers.

Derivatives at kinks are PyTorch's: relu′(0) = 0. NumPy rungs work in place on their own result.
"""

from __future__ import annotations

import math

import numpy as np

from descent.op import elementwise
from descent.ops.special import erf_arrays, erf_scalar

__all__ = ["gelu", "gelu_tanh", "leaky_relu", "relu", "sigmoid", "silu"]

SQRT_HALF = math.sqrt(0.5)
INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
CUBE = 0.044715


@elementwise
def relu(x):
    """max(x, 0). Nair & Hinton 2010."""
    return 0 * x if x < 0 else x


@relu.numpy
def _(x):
    return np.maximum(x, 0)


@relu.grad
def _(y, dy):
    return dy if y > 0 else 0 * dy


@relu.derivatives["x"].numpy
def _(y, dy):
    return np.where(y > 0, dy, 0)


@elementwise
def leaky_relu(x, slope=0.01):
    """x where x > 0, else slope · x. Maas et al. 2013."""
    return x if x > 0 else slope * x


@leaky_relu.numpy
def _(x, slope):
    return np.where(x > 0, x, slope * x)


@leaky_relu.grad
def _(x, dy, slope):
    return dy if x > 0 else slope * dy


@leaky_relu.derivatives["x"].numpy
def _(x, dy, slope):
    return np.where(x > 0, dy, slope * dy)


@elementwise
def sigmoid(x):
    """Logistic function 1 / (1 + e⁻ˣ)."""
    return 1 / (1 + np.exp(-x))


def sigmoid_arrays(x):
    """The NumPy form, in one array."""
    y = np.empty_like(x)
    np.negative(x, out=y)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


sigmoid.numpy(sigmoid_arrays)


@sigmoid.grad
def _(y, dy):
    return dy * (y * (1 - y))


@elementwise
def silu(x):
    """x · σ(x), also called swish. arXiv:1702.03118, arXiv:1710.05941."""
    return x / (1 + np.exp(-x))


@silu.numpy
def _(x):
    y = sigmoid_arrays(x)
    y *= x
    return y


@silu.grad
def _(x, dy):
    s = 1 / (1 + np.exp(-x))
    return dy * (s * (1 + x * (1 - s)))


@silu.derivatives["x"].numpy
def _(x, dy):
    s = sigmoid_arrays(x)
    g = 1 - s
    g *= x
    g += 1
    g *= s
    g *= dy
    return g


@elementwise
def gelu(x):
    """x · Φ(x), Φ the normal distribution function. arXiv:1606.08415."""
    return 0.5 * x * (1 + erf_scalar(SQRT_HALF * x))


@gelu.numpy
def _(x):
    y = erf_arrays(np.asarray(x * SQRT_HALF))
    y += 1
    y *= x
    y *= 0.5
    return y


@gelu.grad
def _(x, dy):
    cdf = 0.5 * (1 + erf_scalar(SQRT_HALF * x))
    return dy * (cdf + x * INV_SQRT_2PI * np.exp(-0.5 * x * x))


@gelu.derivatives["x"].numpy
def _(x, dy):
    g = erf_arrays(np.asarray(x * SQRT_HALF))
    g += 1
    g *= 0.5
    g += x * INV_SQRT_2PI * np.exp(-0.5 * x * x)
    g *= dy
    return g


@elementwise
def gelu_tanh(x):
    """½x (1 + tanh(√(2/π)(x + 0.044715 x³))): GPT-2's form of gelu. arXiv:1606.08415, section 2."""
    return 0.5 * x * (1 + np.tanh(SQRT_2_OVER_PI * (x + CUBE * x * x * x)))


def gelu_tanh_inner(x):
    """tanh(√(2/π)(x + 0.044715 x³)), in one array."""
    t = np.empty_like(x)
    np.multiply(x, x, out=t)
    t *= CUBE * SQRT_2_OVER_PI
    t += SQRT_2_OVER_PI
    t *= x
    return np.tanh(t, out=t)


@gelu_tanh.numpy
def _(x):
    y = gelu_tanh_inner(x)
    y += 1
    y *= x
    y *= 0.5
    return y


@gelu_tanh.grad
def _(x, dy):
    t = np.tanh(SQRT_2_OVER_PI * (x + CUBE * x * x * x))
    inner = SQRT_2_OVER_PI * (1 + 3 * CUBE * x * x)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)


@gelu_tanh.derivatives["x"].numpy
def _(x, dy):
    t = gelu_tanh_inner(x)
    g = np.empty_like(x)
    np.multiply(x, x, out=g)
    g *= 3 * CUBE * SQRT_2_OVER_PI
    g += SQRT_2_OVER_PI
    g *= x
    g *= 1 - t * t
    g += t
    g += 1
    g *= 0.5
    g *= dy
    return g
