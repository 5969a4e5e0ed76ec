"""From symbol numbers to vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply, known, wrap
from descent.ops import embedding as ops

__all__ = ["embedding", "one_hot"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The row of `weight` [V, C] for every id of `input` [...]; a tensor [..., C].

    `padding_idx` is a row that gets no gradient.

    Raises:
        IndexError: for an id outside [0, V).
    """
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError("embedding: max_norm, scale_grad_by_freq, sparse are left out")
    ids, rows = input.array, weight.array.shape[0]
    if weight.array.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {list(weight.array.shape)}")
    if ids.dtype.kind not in "iu":
        raise RuntimeError(
            f"embedding ids must be integers (torch.long or torch.int), got {ids.dtype}"
        )
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError(f"padding_idx {padding_idx} must be within num_embeddings {rows}")
        padding_idx %= rows
    if known(ids) and ids.size and (ids.min() < 0 or ids.max() >= rows):
        wrong = ids[(ids < 0) | (ids >= rows)].reshape(-1)[0]
        raise IndexError(
            f"index out of range in self: id {wrong}, but the table has {rows} rows "
            f"(ids 0 to {rows - 1})"
        )
    return apply(
        ops.embedding, weight, ids=ids.copy() if known(ids) else ids, padding_idx=padding_idx
    )


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """An int64 tensor [..., num_classes] with a 1 at each class number; -1: as many as needed."""
    ids = tensor.array
    if ids.dtype != np.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of int64, got {ids.dtype}")
    if not ids.size and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    if ids.size and ids.min() < 0:
        raise RuntimeError(f"Class values must be non-negative, got {ids.min()}")
    n = int(ids.max()) + 1 if num_classes == -1 else num_classes
    if ids.size and ids.max() >= n:
        raise RuntimeError(
            f"Class values must be smaller than num_classes: {ids.max()} with {n} classes"
        )
    return wrap((ids[..., None] == np.arange(n)).astype(np.int64))
