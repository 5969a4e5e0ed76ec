"""Differences along an axis, and sums of areas: derivative and integral of sampled functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import TensorBase, wrap
from descent.tensor.common import axes, axis, operands
from descent.tensor.comparing import logical_xor
from descent.tensor.indexing import getitem
from descent.tensor.joining import cat
from descent.tensor.reducing import sum
from descent.tensor.scanning import cumsum
from descent.tensor.shaping import reshape

__all__ = ["DifferenceMethods", "cumulative_trapezoid", "diff", "gradient", "trapezoid", "trapz"]


def _part(x: Any, dim: int, start: int | None, stop: int | None) -> Any:
    return getitem(x, (slice(None),) * dim + (slice(start, stop),))


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """x_{i+1} − x_i along `dim`, n times over, after putting `prepend` and `append` at the ends."""
    if not input.array.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = axis(dim, input.array.ndim)
    if not n:
        return input.clone()
    x = input
    if prepend is not None or append is not None:
        x = cat([p for p in (prepend, input, append) if p is not None], d)
    for _ in range(min(n, x.array.shape[d])):
        right, left = _part(x, d, 1, None), _part(x, d, 0, -1)
        x = logical_xor(right, left) if x.array.dtype.kind == "b" else right - left
    return x


def _steps(name: str, y: Any, x: Any, d: int) -> Any:
    """The widths x_{i+1} − x_i, in a shape that broadcasts against y."""
    nd = y.array.ndim
    if x.array.ndim == 1 and nd != 1:
        if x.array.shape[0] != y.array.shape[d]:
            raise RuntimeError(
                f"{name}: There must be one `x` value for each sample point: x has "
                f"{x.array.shape[0]}, y has {y.array.shape[d]} along axis {d}"
            )
        x = reshape(x, *(-1 if i == d else 1 for i in range(nd)))
    elif x.array.ndim < nd:
        x = reshape(x, *[1] * (nd - x.array.ndim), *x.array.shape)
    return _part(x, d, 1, None) - _part(x, d, 0, -1)


def _areas(name: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    """Areas of the trapezia between neighbouring samples, and the axis."""
    d = axis(dim, y.array.ndim)
    if x is not None and dx is not None:
        raise TypeError(f"{name}(): give either x or dx, not both")
    sums = _part(y, d, 1, None) + _part(y, d, 0, -1)
    width = (1 if dx is None else dx) if x is None else _steps(name, y, x, d)
    return sums * width / 2, d


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """∫ y by the trapezoidal rule along `dim`, samples at `x` or `dx` apart (1 by default)."""
    areas, d = _areas("trapezoid", y, x, dx, dim)
    return sum(areas, d)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The trapezoidal integral up to every sample but the first."""
    areas, d = _areas("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, d)


trapz = trapezoid


def gradient(
    input: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """Derivative estimates of a sampled function along each of the axes `dim` (all by default).

    Second-order central differences inside, one-sided ones of order `edge_order` at the ends.

    Args:
        spacing: distance of the samples: one number, one for each axis, or vectors of positions.
    """
    nd = input.array.ndim
    dims = axes(dim, nd) or tuple(range(nd))
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}"
        )
    given = spacing if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(given) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be one for each of the {len(dims)} axes, "
            f"got {len(given)}"
        )
    for d in dims:
        if input.array.shape[d] <= edge_order:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1; axis "
                f"{d} has {input.array.shape[d]}"
            )
    x = operands(input, floating=True)[0]
    return tuple(_derivative(x, d, h, edge_order) for d, h in zip(dims, given))


def _distances(x: Any, d: int, spacing: Any) -> np.ndarray:
    """The n − 1 distances between neighbouring samples of an axis."""
    n = x.array.shape[d]
    if not isinstance(spacing, TensorBase):
        return np.full(n - 1, 1.0 if spacing is None else float(spacing))
    if spacing.array.shape != (n,):
        raise RuntimeError(
            f"torch.gradient expected a vector of {n} positions for axis {d}, got shape "
            f"{list(spacing.array.shape)}"
        )
    return np.diff(spacing.array.astype(np.float64))


def _weighted(x: Any, d: int, starts: list[int], count: int, weights: list[Any]) -> Any:
    """Σ of parts of `count` samples from each start, times their weights (numbers or vectors)."""
    shape = [-1 if i == d else 1 for i in range(x.array.ndim)]
    parts = [
        _part(x, d, start, start + count)
        * wrap(np.atleast_1d(w).reshape(shape).astype(x.array.dtype))
        for start, w in zip(starts, weights)
    ]
    total = parts[0]
    for p in parts[1:]:
        total = total + p
    return total


def _derivative(x: Any, d: int, spacing: Any, edge_order: int) -> Any:
    """The derivative along one axis; a, b: distances to the nearer and the farther neighbour."""
    h, n = _distances(x, d, spacing), x.array.shape[d]
    if edge_order == 1:
        first = _weighted(x, d, [0, 1], 1, [-1 / h[0], 1 / h[0]])
        final = _weighted(x, d, [n - 2, n - 1], 1, [-1 / h[-1], 1 / h[-1]])
    else:
        one_sided = lambda a, b: [  # noqa: E731
            -(2 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b)),
        ]  # fmt: skip
        first = _weighted(x, d, [0, 1, 2], 1, one_sided(h[0], h[1]))
        final = _weighted(x, d, [n - 1, n - 2, n - 3], 1, one_sided(-h[-1], -h[-2]))
    if n == 2:
        return cat([first, final], d)
    a, b = h[:-1], h[1:]
    central = [-b / (a * (a + b)), (b - a) / (a * b), a / (b * (a + b))]
    return cat([first, _weighted(x, d, [0, 1, 2], n - 2, central), final], d)


class DifferenceMethods:
    """The methods of `Tensor` that this family gives."""

    __slots__ = ()

    diff = diff
