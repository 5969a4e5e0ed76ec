"""Smooth activations: σ(x), and x or its bend weighted by something like a probability.

NumPy rungs work in place on their own result; functions named …32 are the body of the loop that
large float32 arrays take (`lanewise`). The ones with corners are in `rectifiers`.
"""

from __future__ import annotations

import math

import numpy as np

from descent.op import elementwise
from descent.ops.blocks import in_blocks
from descent.ops.lanewise import in_lanes
from descent.ops.special import erf_arrays, erf_scalar
from descent.ops.vectormath import (
    HALF,
    ONE,
    ZERO,
    exp32,
    log1p32,
    ndtr32,
    sigmoid32,
    tanh32,
)

__all__ = ["elu", "gelu", "gelu_tanh", "logsigmoid", "mish", "sigmoid", "silu", "softplus"]

SQRT_HALF = math.sqrt(0.5)
INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
CUBE = 0.044715
SLOPE, BEND = np.float32(SQRT_2_OVER_PI), np.float32(CUBE * SQRT_2_OVER_PI)
THREE = np.float32(3)
DENSITY = np.float32(INV_SQRT_2PI)


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


sigmoid.numpy(in_lanes(sigmoid32)(sigmoid_arrays))


@sigmoid.grad
def _(y, dy):
    return dy * (y * (1 - y))


def sigmoid_grad32(y, dy):
    """The derivative of sigmoid, from its result."""
    return dy * (y * (ONE - y))


@sigmoid.derivatives["x"].numpy
@in_lanes(sigmoid_grad32)
@in_blocks
def _(y, dy):
    return dy * (y * (1 - y))


@elementwise
def silu(x):
    """x · σ(x), also called swish. arXiv:1702.03118, arXiv:1710.05941."""
    return x / (1 + np.exp(-x))


def silu32(x):
    """silu of a float32."""
    return x / (ONE + exp32(-x))


@silu.numpy
@in_lanes(silu32)
@in_blocks
def _(x):
    y = sigmoid_arrays(x)
    y *= x
    return y


@silu.grad
def _(x, dy):
    s = 1 / (1 + np.exp(-x))
    return dy * (s * (1 + x * (1 - s)))


def silu_grad32(x, dy):
    """The derivative of silu."""
    s = sigmoid32(x)
    return dy * (s * (ONE + x * (ONE - s)))


@silu.derivatives["x"].numpy
@in_lanes(silu_grad32)
@in_blocks
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


def gelu32(x):
    """gelu of a float32."""
    return x * ndtr32(x)


@gelu.numpy
@in_lanes(gelu32)
@in_blocks
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


def gelu_grad32(x, dy):
    """The derivative of gelu."""
    return dy * (ndtr32(x) + x * DENSITY * exp32(-HALF * x * x))


@gelu.derivatives["x"].numpy
@in_lanes(gelu_grad32)
@in_blocks
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


def gelu_tanh32(x):
    """gelu_tanh of a float32."""
    return HALF * x * (ONE + tanh32(x * (SLOPE + BEND * x * x)))


def gelu_tanh_grad32(x, dy):
    """The derivative of gelu_tanh."""
    t = tanh32(x * (SLOPE + BEND * x * x))
    inner = x * (SLOPE + THREE * BEND * x * x)
    return dy * HALF * (ONE + t + (ONE - t * t) * inner)


@gelu_tanh.numpy
@in_lanes(gelu_tanh32)
@in_blocks
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
@in_lanes(gelu_tanh_grad32)
@in_blocks
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


@elementwise
def softplus(x, beta=1.0, threshold=20.0):
    """ln(1 + e^(βx)) / β, a smooth relu; x itself where βx exceeds the threshold."""
    return x if x * beta > threshold else np.log1p(np.exp(x * beta)) / beta


@softplus.numpy
@in_blocks
def _(x, beta, threshold):
    return np.where(x * beta > threshold, x, np.log1p(np.exp(x * beta)) / beta)


@softplus.grad
def _(x, dy, beta, threshold):
    return dy if x * beta > threshold else dy / (1 + np.exp(-x * beta))


@softplus.derivatives["x"].numpy
@in_blocks
def _(x, dy, beta, threshold):
    return np.where(x * beta > threshold, dy, dy / (1 + np.exp(-x * beta)))


@elementwise
def logsigmoid(x):
    """ln σ(x) = min(x, 0) − ln(1 + e^−|x|)."""
    return (x if x < 0 else 0) - np.log1p(np.exp(-abs(x)))


def logsigmoid32(x):
    """logsigmoid of a float32."""
    return min(x, ZERO) - log1p32(exp32(-abs(x)))


@logsigmoid.numpy
@in_lanes(logsigmoid32)
@in_blocks
def _(x):
    return np.minimum(x, 0) - np.log1p(np.exp(-abs(x)))


@logsigmoid.grad
def _(x, dy):
    return dy / (1 + np.exp(x))


@elementwise
def mish(x):
    """x · tanh(ln(1 + eˣ)). arXiv:1908.08681."""
    return x * np.tanh(np.log1p(np.exp(x)))


mish.numpy(in_blocks(mish.scalar))


@mish.grad
def _(x, dy):
    t = np.tanh(np.log1p(np.exp(x)))
    return dy * (t + x * (1 - t * t) / (1 + np.exp(-x)))


mish.derivatives["x"].numpy(in_blocks(mish.derivatives["x"].scalar))


@elementwise
def elu(x, alpha=1.0, scale=1.0, input_scale=1.0):
    """scale · (x where x > 0, else α(e^(x · input_scale) − 1)). arXiv:1511.07289."""
    return scale * x if x > 0 else scale * alpha * np.expm1(x * input_scale)


@elu.numpy
@in_blocks
def _(x, alpha, scale, input_scale):
    bent = scale * alpha * np.expm1(np.minimum(x, 0) * input_scale)
    return scale * np.maximum(x, 0) + bent


@elu.grad
def _(x, dy, alpha, scale, input_scale):
    if x > 0:
        return dy * scale
    return dy * (scale * alpha * input_scale) * np.exp(x * input_scale)


@elu.derivatives["x"].numpy
@in_blocks
def _(x, dy, alpha, scale, input_scale):
    bent = dy * (scale * alpha * input_scale) * np.exp(x * input_scale)
    return np.where(x > 0, dy * scale, bent)
