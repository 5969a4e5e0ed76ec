"""Lengths, distances and angles of vectors.

|x|_p = (Σ_c |x_c|^p)^(1/p)        cos(a, b) = a · b / (|a| |b|)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import wrap
from descent.tensor.common import axis, operands

__all__ = ["cosine_similarity", "length", "normalize", "pairwise_distance", "pdist"]


def length(x: Any, p: float, dim: int, keepdim: bool = False) -> Any:
    """The p-norm along one axis."""
    return x.norm(p, dim, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle along `dim`; lengths count as at least eps."""
    a, b = (x / length(x, 2, dim, True).clamp(min=eps) for x in _broadcast(x1, x2))
    return (a * b).sum(dim)


def _broadcast(x1: Any, x2: Any) -> list[Any]:
    shape = np.broadcast_shapes(x1.array.shape, x2.array.shape)
    return [x.expand(*shape) for x in operands(x1, x2)]


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """|x1 − x2 + eps|_p along the last axis."""
    return length(x1 - x2 + eps, p, -1, keepdim)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """input / max(|input|_p, eps) along `dim`."""
    axis(dim, input.array.ndim)
    return input / length(input, p, dim, True).clamp(min=eps)


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm of every row of input [N, M] minus every later row: [N (N − 1) / 2]."""
    if input.array.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.array.ndim}D")
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, got {p}")
    first, second = (wrap(i) for i in np.triu_indices(input.array.shape[0], 1))
    return length(input.index_select(0, first) - input.index_select(0, second), p, -1)
