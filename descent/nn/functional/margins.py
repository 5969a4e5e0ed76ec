"""Losses that ask for a margin between the right answer and the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import wrap
from descent.nn.functional.classification import reduced, reduction_of
from descent.nn.functional.distances import pairwise_distance

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "triplet_margin_loss",
]  # fmt: skip


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """input where target = 1, max(0, margin − input) where target = −1 (distances as input)."""
    near = input.masked_fill(target == -1, 0)
    far = (margin - input).clamp(min=0).masked_fill(target == 1, 0)
    return reduced(near + far, reduction_of(reduction, size_average, reduce))


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """max(0, margin − target · (input1 − input2)) for targets ±1."""
    if not input1.array.ndim == input2.array.ndim == target.array.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {list(input1.array.shape)}, input2: {list(input2.array.shape)}, "
            f"target: {list(target.array.shape)}"
        )
    y = (-target * (input1 - input2) + margin).clamp(min=0)
    return reduced(y, reduction_of(reduction, size_average, reduce))


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """(1/C) Σ_{c ≠ t} max(0, margin − x_t + x_c)^p for scores [C] or [N, C], times weight[t]."""
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, got {p}")
    rows = input.reshape(1, -1) if input.array.ndim < 2 else input  # [N, C]
    ids = target.reshape(-1).array
    right = np.zeros(rows.array.shape, bool)
    right[np.arange(ids.size), ids] = True
    mine = rows[wrap(np.arange(ids.size)), wrap(ids)].reshape(-1, 1)
    y = (margin - mine + rows).clamp(min=0).masked_fill(wrap(right), 0)
    if p == 2:
        y = y * y
    if weight is not None:
        y = y * weight[wrap(ids)].reshape(-1, 1)
    y = y.sum(1) / rows.array.shape[1]
    if not target.array.ndim:
        y = y.reshape(())
    return reduced(y, reduction_of(reduction, size_average, reduce))


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """(1/C) Σ_{t ∈ labels} Σ_{c ∉ labels} max(0, 1 − x_t + x_c).

    `target` holds class numbers, up to the first −1, and has the shape of `input`: [C] or [N, C].
    """
    x = input.reshape(1, -1) if input.array.ndim < 2 else input  # [N, C]
    ids = target.array.reshape(x.array.shape)
    listed = np.cumprod(ids >= 0, 1).astype(bool)  # up to the first −1
    rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
    label = np.zeros(ids.shape, bool)
    label[rows[listed], ids[listed]] = True
    n, c = ids.shape
    mine = x[wrap(rows), wrap(np.where(listed, ids, 0))].reshape(n, c, 1)
    gap = (1 - mine + x.reshape(n, 1, c)).clamp(min=0)  # [N, listed, C]
    counts = listed[:, :, None] & ~label[:, None, :]
    y = gap.masked_fill(wrap(~counts), 0).sum((1, 2)) / c
    if input.array.ndim < 2:
        y = y.reshape(())
    return reduced(y, reduction_of(reduction, size_average, reduce))


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """The binary cross entropy with logits, averaged over the last axis."""
    from descent.nn.functional.losses import binary_cross_entropy_with_logits

    y = binary_cross_entropy_with_logits(input, target, weight, reduction="none").mean(-1)
    return reduced(y, reduction_of(reduction, size_average, reduce))


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """1 − cos where target = 1, max(0, cos − margin) where target = −1."""
    dim = input1.array.ndim - 1
    top = (input1 * input2).sum(dim)
    bottom = ((input1**2).sum(dim) + 1e-12) * ((input2**2).sum(dim) + 1e-12)
    cos = top / bottom.sqrt()
    y = (1 - cos).masked_fill(target != 1, 0)
    y = y + (cos - margin).clamp(min=0).masked_fill(target != -1, 0)
    return reduced(y, reduction_of(reduction, size_average, reduce))


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + |anchor − positive| − |anchor − negative|).

    `swap` takes the nearer of anchor and positive to the negative.
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    y = (margin + near - far).clamp(min=0)
    return reduced(y, reduction_of(reduction, size_average, reduce))
