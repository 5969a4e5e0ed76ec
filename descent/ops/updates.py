"""Update rules of the optimisers: how one element of a parameter moves.

p is the element, g its gradient, the other arrays what is remembered between steps. Coefficients
(worked out once per step in `descent.optim`): rate, the step's size; pull, the λ of weight decay
that is added to the gradient; sign, −1 to climb instead of descend.

Robbins & Monro 1951 (sgd); Polyak 1964 (momentum); Sutskever et al. 2013 (nesterov); Kingma & Ba
2014, arXiv:1412.6980 (adam); Reddi et al. 2018, arXiv:1904.09237 (amsgrad); Hinton 2012, Coursera
lecture 6e (rmsprop); Graves 2013, arXiv:1308.0850 (centered); Duchi, Hazan & Singer 2011 (adagrad).
"""

from __future__ import annotations

import numpy as np

from descent.op.updates import update

__all__ = [
    "RULES", "adagrad", "adam", "adam_amsgrad", "rmsprop", "rmsprop_centered",
    "rmsprop_centered_momentum", "rmsprop_momentum", "sgd", "sgd_momentum", "sgd_nesterov",
]  # fmt: skip


@update
def sgd(p, g, rate=0.1, pull=0.0, sign=1.0):
    """p ← p − rate · d,  d = ±g + pull · p."""
    d = sign * g + pull * p
    return p - rate * d


@update
def sgd_momentum(p, g, v, rate=0.1, pull=0.0, sign=1.0, momentum=0.9, take=1.0):
    """v ← momentum · v + take · d,  p ← p − rate · v."""
    v = momentum * v + take * (sign * g + pull * p)
    return p - rate * v, v


@update
def sgd_nesterov(p, g, v, rate=0.1, pull=0.0, sign=1.0, momentum=0.9, take=1.0):
    """v ← momentum · v + take · d,  p ← p − rate · (d + momentum · v)."""
    d = sign * g + pull * p
    v = momentum * v + take * d
    return p - rate * (d + momentum * v), v


@update
def adam(
    p, g, m, v,
    rate=1e-3, shrink=1.0, beta2=0.999, take1=0.1, take2=1e-3, eps=1e-8, keep=1.0, pull=0.0,
    sign=1.0,
):  # fmt: skip
    """m ← m + take1 (d − m),  v ← beta2 v + take2 d²,  p ← keep p − rate m / (√v / shrink + eps).

    rate = lr / (1 − β₁ᵗ), shrink = √(1 − β₂ᵗ), take = 1 − β; keep = 1 − lr · λ in AdamW.
    """
    p = keep * p
    d = sign * g + pull * p
    m = m + take1 * (d - m)
    v = beta2 * v + take2 * (d * d)
    return p - rate * (m / (np.sqrt(v) / shrink + eps)), m, v


@update
def adam_amsgrad(
    p, g, m, v, largest,
    rate=1e-3, shrink=1.0, beta2=0.999, take1=0.1, take2=1e-3, eps=1e-8, keep=1.0, pull=0.0,
    sign=1.0,
):  # fmt: skip
    """Adam divided by the largest v so far."""
    p = keep * p
    d = sign * g + pull * p
    m = m + take1 * (d - m)
    v = beta2 * v + take2 * (d * d)
    largest = np.maximum(largest, v)
    return p - rate * (m / (np.sqrt(largest) / shrink + eps)), m, v, largest


@update
def rmsprop(p, g, v, rate=0.01, alpha=0.99, take=0.01, eps=1e-8, pull=0.0, sign=1.0):
    """v ← alpha · v + take · d²,  p ← p − rate · d / (√v + eps);  take = 1 − alpha."""
    d = sign * g + pull * p
    v = alpha * v + take * d * d
    return p - rate * (d / (np.sqrt(v) + eps)), v


@update
def rmsprop_momentum(
    p, g, v, buffer, rate=0.01, alpha=0.99, take=0.01, eps=1e-8, pull=0.0, sign=1.0, momentum=0.9
):
    """RMSprop whose divided gradients gather momentum."""
    d = sign * g + pull * p
    v = alpha * v + take * d * d
    buffer = momentum * buffer + d / (np.sqrt(v) + eps)
    return p - rate * buffer, v, buffer


@update
def rmsprop_centered(p, g, v, mean, rate=0.01, alpha=0.99, take=0.01, eps=1e-8, pull=0.0, sign=1.0):
    """RMSprop divided by the standard deviation: √(v − mean²)."""
    d = sign * g + pull * p
    v = alpha * v + take * d * d
    mean = mean + take * (d - mean)
    return p - rate * (d / (np.sqrt(v - mean * mean) + eps)), v, mean


@update
def rmsprop_centered_momentum(
    p, g, v, buffer, mean,
    rate=0.01, alpha=0.99, take=0.01, eps=1e-8, pull=0.0, sign=1.0, momentum=0.9,
):  # fmt: skip
    """RMSprop divided by the standard deviation, with momentum."""
    d = sign * g + pull * p
    v = alpha * v + take * d * d
    mean = mean + take * (d - mean)
    buffer = momentum * buffer + d / (np.sqrt(v - mean * mean) + eps)
    return p - rate * buffer, v, buffer, mean


@update
def adagrad(p, g, total, rate=0.01, eps=1e-10, pull=0.0, sign=1.0):
    """total ← total + d²,  p ← p − rate · d / (√total + eps)."""
    d = sign * g + pull * p
    total = total + d * d
    return p - rate * (d / (np.sqrt(total) + eps)), total


RULES = (
    sgd, sgd_momentum, sgd_nesterov, adam, adam_amsgrad, rmsprop, rmsprop_momentum,
    rmsprop_centered, rmsprop_centered_momentum, adagrad,
)  # fmt: skip
