"""Losses of classifiers: cross entropy and negative log-likelihood.

mean:  Σ_n w_n ℓ_n / Σ_n w_n,   w_n = weight[target_n], 0 where target_n = ignore_index
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply, capturing, known, wrap
from descent.ops import likelihood
from descent.tensor.probability import log_softmax

__all__ = ["cross_entropy", "nll_loss", "reduced", "reduction_of"]


def reduction_of(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction's name, also from the two old flags.

    Raises:
        ValueError: for an unknown name.
    """
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction: none, mean or sum")
    return reduction


def reduced(losses: Any, reduction: str) -> Any:
    """The losses, their mean or their sum."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−log softmax(input)[target], averaged.

    Args:
        input: scores [C], [N, C] or [N, C, d1, …].
        target: class numbers [], [N] or [N, d1, …]; or probabilities of the shape of input.
        weight: [C], a factor per class; ignore_index: a target that does not count.
        label_smoothing: share of the target given evenly to all classes.

    Raises:
        RuntimeError, ValueError, IndexError: for shapes or class numbers that do not fit.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.array.dtype.kind == "f":
        return _with_probabilities(input, target, weight, reduction, label_smoothing)
    dim = _class_axis(input, target)
    if label_smoothing > 0:
        logp = log_softmax(input, dim)
        right = nll_loss(logp, target, weight, None, ignore_index, None, reduction)
        smooth = _evenly(logp, target, weight, ignore_index, reduction, dim)
        return right * (1 - label_smoothing) + smooth * (label_smoothing / input.array.shape[dim])
    return _weighted(likelihood.cross_entropy, input, target, weight, ignore_index, reduction, dim)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """−input[target] for log-probabilities, averaged; arguments as for `cross_entropy`."""
    reduction = reduction_of(reduction, size_average, reduce)
    dim = _class_axis(input, target)
    return _weighted(likelihood.nll, input, target, weight, ignore_index, reduction, dim)


def _class_axis(input: Any, target: Any) -> int:
    given, shape = input.array.shape, target.array.shape
    if not given:
        raise ValueError("expected scores with at least one axis (the classes), got a 0-d tensor")
    dim = 0 if len(given) == 1 else 1
    if shape != given[:dim] + given[dim + 1 :]:
        raise ValueError(
            f"Expected target size {list(given[:dim] + given[dim + 1 :])} for input of size "
            f"{list(given)}, got {list(shape)}"
        )
    if target.array.dtype.kind not in "iu":
        raise RuntimeError(f"expected class numbers of type int64, got {target.array.dtype}")
    return dim


def _weighted(
    op: Any, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, dim: int
) -> Any:
    """The op's losses, weighted and reduced; ignored targets reach the op as −1."""
    ids, counted = _checked(target.array, input.array.shape[dim], ignore_index)
    losses = apply(op, input, target if ids is target.array else wrap(ids), dim=dim)
    if weight is None:
        if reduction != "mean" or (known(ids) and counted == ids.size):
            return reduced(losses, reduction)
        return losses.sum() / (counted if known(ids) else wrap(counted))
    factors = _factors(ids, input.array.shape[dim], weight, input.array.dtype)
    losses = losses * wrap(factors)
    if reduction != "mean":
        return reduced(losses, reduction)
    total = factors.sum()
    return losses.sum() / wrap(np.asarray(total) if known(ids) else total)


def _checked(ids: np.ndarray, classes: int, ignore_index: int) -> tuple[np.ndarray, Any]:
    """The class numbers with −1 for ignored ones, and how many count.

    Raises:
        IndexError: for a number outside the classes.
    """
    if not ids.size:
        return ids, 0
    if not known(ids):
        capturing().check_range(ids, classes, ignore_index)
        return np.where(ids == ignore_index, -1, ids), (ids != ignore_index).sum()
    if not 0 <= ignore_index < classes and _largest(ids) < classes:
        return ids, ids.size  # the common case: nothing is ignored
    ignored = ids == ignore_index
    wrong = ids[~ignored & ((ids < 0) | (ids >= classes))]
    if wrong.size:
        raise IndexError(
            f"Target {wrong.reshape(-1)[0]} is out of bounds: there are {classes} classes "
            f"(0 to {classes - 1}); ignore_index is {ignore_index}"
        )
    return np.where(ignored, -1, ids), ids.size - int(np.count_nonzero(ignored))


def _largest(ids: np.ndarray) -> int:
    """The largest class number; a negative one counts as very large (its bits read as unsigned)."""
    unsigned = ids.view(np.dtype(f"u{ids.dtype.itemsize}")) if ids.dtype.kind == "i" else ids
    return np.maximum.reduce(unsigned, axis=None)


def _factors(ids: np.ndarray, classes: int, weight: Any, dtype: np.dtype) -> np.ndarray:
    """Every target's factor: that of its class, 0 for an ignored one."""
    if weight is not None and weight.array.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(weight.array.shape)}"
        )
    kept = (ids >= 0).astype(dtype)
    if weight is None:
        return kept
    table = weight.array if known(ids) else capturing().shadow(weight)
    return kept * table.astype(dtype)[ids]


def _evenly(
    logp: Any, target: Any, weight: Any, ignore_index: int, reduction: str, dim: int
) -> Any:
    """The loss against equal probabilities, −Σ_c w_c log p_c, of the targets that count."""
    if weight is not None:
        logp = logp * _along(weight, logp, dim)
    ids, _ = _checked(target.array, logp.array.shape[dim], ignore_index)
    dtype = logp.array.dtype
    losses = -logp.sum(dim) * wrap((ids >= 0).astype(dtype))
    if reduction != "mean":
        return reduced(losses, reduction)
    factors = _factors(ids, logp.array.shape[dim], weight, dtype)
    total = factors.sum()
    return losses.sum() / wrap(np.asarray(total) if known(ids) else total)


def _along(weight: Any, x: Any, dim: int) -> Any:
    return weight.reshape([-1 if d == dim else 1 for d in range(x.array.ndim)])


def _with_probabilities(
    input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    if target.array.shape != input.array.shape:
        raise RuntimeError(
            f"Expected target probabilities of shape {list(input.array.shape)}, got "
            f"{list(target.array.shape)}"
        )
    dim = 0 if input.array.ndim == 1 else 1
    classes = input.array.shape[dim]
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    logp = log_softmax(input, dim)
    if weight is not None:
        logp = logp * _along(weight, logp, dim)
    losses = -(logp * target).sum(dim)
    if reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / max(losses.array.size, 1)
