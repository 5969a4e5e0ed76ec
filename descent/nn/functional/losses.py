"""Losses of numbers against numbers: regression, binary classification, distributions."""

from __future__ import annotations

import warnings
from math import pi
from typing import Any

from descent.autograd import apply
from descent.nn.functional.classification import reduced, reduction_of
from descent.ops import losses
from descent.tensor.common import operands

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "huber_loss",
    "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss",
]  # fmt: skip


def _pair(name: str, input: Any, target: Any, *, same: bool = False) -> list[Any]:
    """The operands in one dtype; warns, or raises ValueError with `same`, when shapes differ."""
    a, b = input.array.shape, target.array.shape
    if a != b:
        if same:
            raise ValueError(
                f"{name}: target size {list(b)} must be the same as input size {list(a)}"
            )
        warnings.warn(
            f"Using a target size ({list(b)}) that is different to the input size ({list(a)}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
    return operands(input, target)


def _weighted(y: Any, weight: Any, reduction: str) -> Any:
    return reduced(y if weight is None else y * weight, reduction)


def mse_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Mean of (input − target)²; with weights the mean is Σ w ℓ / Σ w."""
    reduction = reduction_of(reduction, size_average, reduce)
    y = apply(losses.squared_error, *_pair("mse_loss", input, target))
    if weight is not None and reduction == "mean":
        return (y * weight).sum() / weight.sum()
    return _weighted(y, weight, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Mean of |input − target|; with weights the mean is Σ w ℓ / Σ w."""
    reduction = reduction_of(reduction, size_average, reduce)
    y = apply(losses.absolute_error, *_pair("l1_loss", input, target))
    if weight is not None and reduction == "mean":
        return (y * weight).sum() / weight.sum()
    return _weighted(y, weight, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """½ d²/β where |d| < β, else |d| − β/2."""
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    x, t = _pair("smooth_l1_loss", input, target)
    y = apply(losses.smooth_error, x, t, beta=float(beta))
    return reduced(y, reduction_of(reduction, size_average, reduce))


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """½ d² where |d| < δ, else δ (|d| − δ/2)."""
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta: {delta}")
    x, t = _pair("huber_loss", input, target)
    y = apply(losses.huber_error, x, t, delta=float(delta))
    return _weighted(y, weight, reduction_of(reduction))


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """−t log x − (1 − t) log(1 − x) of probabilities x.

    Raises:
        RuntimeError: for an x outside [0, 1]; ValueError when the shapes differ.
    """
    x, t = _pair("binary_cross_entropy", input, target, same=True)
    if x.array.size and not ((x.array >= 0) & (x.array <= 1)).all():
        raise RuntimeError(
            "all elements of input should be between 0 and 1; "
            f"they are between {x.array.min()} and {x.array.max()} "
            "(for scores use binary_cross_entropy_with_logits)"
        )
    y = apply(losses.log_loss, x, t)
    return _weighted(y, weight, reduction_of(reduction, size_average, reduce))


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """The binary cross entropy of sigmoid(input); `pos_weight` multiplies the positive class."""
    x, t = _pair("binary_cross_entropy_with_logits", input, target, same=True)
    if pos_weight is None:
        y = apply(losses.log_loss_logits, x, t)
    else:
        y = apply(losses.log_loss_weighted, *operands(x, t, pos_weight))
    return _weighted(y, weight, reduction_of(reduction, size_average, reduce))


def kl_div(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """Kullback–Leibler divergence of log-probabilities `input` from probabilities `target`.

    `reduction="batchmean"` divides the sum by the first axis: the mathematical definition.
    """
    x, t = operands(input, target)
    y = apply(losses.kl_point_log if log_target else losses.kl_point, x, t)
    if reduction == "batchmean":
        total = y.sum()
        return total / input.array.shape[0] if input.array.ndim else total
    return reduced(y, reduction_of(reduction, size_average, reduce))


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + exp(−target · input)) for targets ±1."""
    y = apply(losses.soft_margin, *operands(input, target))
    return reduced(y, reduction_of(reduction, size_average, reduce))


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """λ − t log λ with λ = exp(input), or λ = input; `full` adds Stirling's log t! where t > 1."""
    reduction = reduction_of(reduction, size_average, reduce)
    if log_input:
        y = input.exp() - target * input
    else:
        y = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * pi * target).log()
        y = y + stirling.masked_fill(target <= 1, 0)
    return reduced(y, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """½ (log v + (input − target)² / v), v = max(var, ε), constant for the gradient where cut.

    Raises:
        ValueError: for a negative variance or one of another shape.
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError(f"var has negative entry/entries: {var}")
        var = input.detach() * 0 + var
    var = _variance(input, target, var)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    if (var.array < 0).any():
        raise ValueError("var has negative entry/entries")
    # clamped without a gradient of the clamp, as in PyTorch: the numbers change, the path stays
    cut = var + (var.detach().clamp(min=eps) - var.detach())
    y = 0.5 * (cut.log() + (input - target) ** 2 / cut)
    if full:
        from math import log

        y = y + 0.5 * log(2 * pi)
    return reduced(y, reduction)


def _variance(input: Any, target: Any, var: Any) -> Any:
    """`var`, with an axis added where there is one number per row."""
    shape = input.array.shape
    if var.array.shape == shape:
        return var
    if shape[:-1] == var.array.shape:
        return var.reshape(*var.array.shape, 1)
    lead_fits = shape[:-1] == var.array.shape[:-1] and var.array.shape[-1:] == (1,)
    if lead_fits or (
        input.array.ndim == var.array.ndim
        and all(v == n or v == 1 for v, n in zip(var.array.shape, shape))
    ):
        return var
    raise ValueError(f"var is of incorrect size: {list(var.array.shape)} for input {list(shape)}")
