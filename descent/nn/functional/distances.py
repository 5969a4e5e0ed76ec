"""Lengths, distances and angles of vectors.

|x|_p = (Σ_c |x_c|^p)^(1/p)        cos(a, b) = a · b / (|a| |b|)
"""

from __future__ import annotations

from typing import Any

from descent.tensor.common import axis

__all__ = ["cosine_similarity", "length", "normalize", "pairwise_distance"]


def length(x: Any, p: float, dim: int, keepdim: bool = False) -> Any:
    """The p-norm along one axis."""
    return x.norm(p, dim, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle along `dim`; lengths count as at least eps."""
    a, b = (x / length(x, 2, dim, True).clamp(min=eps) for x in _broadcast(x1, x2))
    return (a * b).sum(dim)


def _broadcast(x1: Any, x2: Any) -> list[Any]:
    from numpy import broadcast_shapes

    from descent.tensor.common import operands

    shape = broadcast_shapes(x1.array.shape, x2.array.shape)
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
