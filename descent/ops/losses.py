"""Losses of one prediction x against one target t, element by element.

    squared (x − t)²        absolute |x − t|        log-loss −t log x − (1 − t) log(1 − x)
    smooth L1: ½ d²/β for |d| < β, else |d| − β/2        Huber: ½ d² for |d| < δ, else δ (|d| − δ/2)
    Kullback–Leibler, x a log-probability: t (log t − x)        soft margin: log(1 + exp(−t x))

Huber 1964, "Robust Estimation of a Location Parameter"; smooth L1: Girshick 2015, arXiv:1504.08083.
log 0 counts as −100 in the log-loss, as in PyTorch. Means over elements: `nn.functional.losses`.
"""

from __future__ import annotations

import numpy as np

from descent.op import elementwise

__all__ = [
    "absolute_error", "huber_error", "kl_point", "kl_point_log", "log_loss", "log_loss_logits",
    "log_loss_weighted", "smooth_error", "soft_margin", "squared_error",
]  # fmt: skip


@elementwise
def squared_error(x, t):
    """(x − t)²."""
    return (x - t) * (x - t)


@squared_error.numpy
def _(x, t):
    d = np.subtract(x, t)
    return d * d


@squared_error.grad("x")
def _(x, t, dy):
    return dy * 2 * (x - t)


@squared_error.grad("t")
def _(x, t, dy):
    return dy * 2 * (t - x)


@elementwise
def absolute_error(x, t):
    """|x − t|."""
    return abs(x - t)


@absolute_error.grad("x")
def _(x, t, dy):
    return dy if x > t else -dy if x < t else 0 * dy * (x - t)


@absolute_error.derivatives["x"].numpy
def _(x, t, dy):
    return dy * np.sign(x - t)


@absolute_error.grad("t")
def _(x, t, dy):
    return -dy if x > t else dy if x < t else 0 * dy * (x - t)


@absolute_error.derivatives["t"].numpy
def _(x, t, dy):
    return dy * np.sign(t - x)


@elementwise
def smooth_error(x, t, beta=1.0):
    """½ (x − t)² / β near 0, |x − t| − β/2 elsewhere."""
    d = abs(x - t)
    return d * d * (0.5 / beta) if d < beta else d - 0.5 * beta


@smooth_error.numpy
def _(x, t, beta):
    d = np.abs(x - t)
    return np.where(d < beta, d * d * (0.5 / beta if beta else 0), d - 0.5 * beta)


@smooth_error.grad("x")
def _(x, t, dy, beta):
    d = x - t
    return dy * d / beta if abs(d) < beta else dy if d > 0 else -dy if d < 0 else 0 * dy * d


@smooth_error.derivatives["x"].numpy
def _(x, t, dy, beta):
    return dy * smooth_slope(x - t, beta)


@smooth_error.grad("t")
def _(x, t, dy, beta):
    d = t - x
    return dy * d / beta if abs(d) < beta else dy if d > 0 else -dy if d < 0 else 0 * dy * d


@smooth_error.derivatives["t"].numpy
def _(x, t, dy, beta):
    return dy * smooth_slope(t - x, beta)


def smooth_slope(d: np.ndarray, beta: float) -> np.ndarray:
    """The derivative of the smooth L1 loss with respect to the difference."""
    return np.clip(d / beta, -1, 1) if beta else np.sign(d)


@elementwise
def huber_error(x, t, delta=1.0):
    """½ (x − t)² near 0, δ (|x − t| − δ/2) elsewhere."""
    d = abs(x - t)
    return 0.5 * d * d if d < delta else delta * (d - 0.5 * delta)


@huber_error.numpy
def _(x, t, delta):
    d = np.abs(x - t)
    return np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))


@huber_error.grad("x")
def _(x, t, dy, delta):
    return dy * max(min(x - t, delta), -delta)


@huber_error.derivatives["x"].numpy
def _(x, t, dy, delta):
    return dy * np.clip(x - t, -delta, delta)


@huber_error.grad("t")
def _(x, t, dy, delta):
    return dy * max(min(t - x, delta), -delta)


@huber_error.derivatives["t"].numpy
def _(x, t, dy, delta):
    return dy * np.clip(t - x, -delta, delta)


@elementwise
def log_loss(x, t):
    """−t log x − (1 − t) log(1 − x) of a probability x; logarithms end at −100."""
    return -(t * max(np.log(x), -100.0) + (1 - t) * max(np.log(1 - x), -100.0))


@log_loss.numpy
def _(x, t):
    return -(t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))


@log_loss.grad("x")
def _(x, t, dy):
    return dy * (x - t) / max((1 - x) * x, 1e-12)


@log_loss.derivatives["x"].numpy
def _(x, t, dy):
    return dy * (x - t) / np.maximum((1 - x) * x, 1e-12)


@log_loss.grad("t")
def _(x, dy):
    return dy * (np.log(1 - x) - np.log(x))


@elementwise
def log_loss_logits(x, t):
    """The log-loss of sigmoid(x): (1 − t) x + log(1 + exp(−x)), without overflow."""
    return (1 - t) * x + max(-x, 0 * x) + np.log(1 + np.exp(-abs(x)))


@log_loss_logits.numpy
def _(x, t):
    return (1 - t) * x + softplus_minus(x)


@log_loss_logits.grad("x")
def _(x, t, dy):
    return dy * (1 / (1 + np.exp(-x)) - t)


@log_loss_logits.grad("t")
def _(x, dy):
    return -dy * x


@elementwise
def log_loss_weighted(x, t, p):
    """`log_loss_logits` with the positive class counting p times: t grows by the factor p."""
    soft = max(-x, 0 * x) + np.log(1 + np.exp(-abs(x)))
    return (1 - t) * x + (1 + (p - 1) * t) * soft


@log_loss_weighted.numpy
def _(x, t, p):
    return (1 - t) * x + (1 + (p - 1) * t) * softplus_minus(x)


@log_loss_weighted.grad("x")
def _(x, t, p, dy):
    return dy * ((1 - t) - (1 + (p - 1) * t) / (1 + np.exp(x)))


@log_loss_weighted.grad("t")
def _(x, p, dy):
    return dy * ((p - 1) * (max(-x, 0 * x) + np.log(1 + np.exp(-abs(x)))) - x)


@log_loss_weighted.derivatives["t"].numpy
def _(x, p, dy):
    return dy * ((p - 1) * softplus_minus(x) - x)


@log_loss_weighted.grad("p")
def _(x, t, dy):
    return dy * t * (max(-x, 0 * x) + np.log(1 + np.exp(-abs(x))))


@log_loss_weighted.derivatives["p"].numpy
def _(x, t, dy):
    return dy * t * softplus_minus(x)


def softplus_minus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(−x)) without overflow."""
    return np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))


@elementwise
def kl_point(x, t):
    """t (log t − x) of a log-probability x and a probability t; 0 where t is 0."""
    return t * (np.log(t) - x) if t > 0 else -t * x


@kl_point.numpy
def _(x, t):
    return np.where(t == 0, 0, t * np.log(t)) - t * x


@kl_point.grad("x")
def _(t, dy):
    return -dy * t


@kl_point.grad("t")
def _(x, t, dy):
    return dy * (np.log(t) + 1 - x) if t > 0 else 0 * dy


@kl_point.derivatives["t"].numpy
def _(x, t, dy):
    return np.where(t > 0, dy * (np.log(t) + 1 - x), 0)


@elementwise
def kl_point_log(x, t):
    """exp(t) (t − x): both are log-probabilities."""
    return np.exp(t) * (t - x)


@kl_point_log.grad("x")
def _(t, dy):
    return -dy * np.exp(t)


@kl_point_log.grad("t")
def _(x, t, dy):
    return dy * np.exp(t) * (t - x + 1)


@elementwise
def soft_margin(x, t):
    """log(1 + exp(−t x)), t = ±1."""
    return np.log(1 + np.exp(-t * x))


@soft_margin.numpy
def _(x, t):
    return np.logaddexp(0, -t * x).astype(x.dtype)


@soft_margin.grad("x")
def _(x, t, dy):
    return -dy * t / (1 + np.exp(t * x))


@soft_margin.grad("t")
def _(x, t, dy):
    return -dy * x / (1 + np.exp(t * x))
