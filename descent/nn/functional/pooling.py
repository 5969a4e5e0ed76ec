"""Pooling: the largest element or the average of every window."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.nn.functional.places import adaptive_table, several, table
from descent.ops import windows

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "max_pool1d", "max_pool2d", "max_pool3d",
]  # fmt: skip


def _flat(name: str, input: Any, n: int) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """The input as [rows, places], its leading shape, and the sizes of its place axes."""
    shape = input.array.shape
    if len(shape) not in (n + 1, n + 2) or 0 in shape[len(shape) - n - 1 :]:
        raise RuntimeError(
            f"{name}: expected input [N, C, …] or [C, …] with {n} non-empty place axes, "
            f"got {list(shape)}"
        )
    lead, sizes = tuple(shape[:-n]), tuple(shape[-n:])
    return input.reshape(prod(lead), prod(sizes)), lead, sizes


def _windows(
    name: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[np.ndarray, tuple[int, ...]]:
    n = len(sizes)
    steps = kernel if stride is None or stride == () else several(name, "stride", stride, n)
    margins = several(name, "padding", padding, n)
    if min(steps) <= 0:
        raise RuntimeError(f"stride should not be zero, got {steps}")
    if any(m < 0 or 2 * m > k for m, k in zip(margins, kernel)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={margins} and "
            f"kernel_size={kernel}"
        )
    at, counts = table(
        sizes, kernel, steps, margins, several(name, "dilation", dilation, n), ceil_mode
    )
    if min(counts) <= 0:
        raise RuntimeError(
            f"{name}: Given input size {sizes}. Calculated output size: {counts}. "
            "Output size is too small"
        )
    return at, counts


def _max_pool(
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
    n: int,
) -> Any:
    name = f"max_pool{n}d"
    x, lead, sizes = _flat(name, input, n)
    kernel = several(name, "kernel_size", kernel_size, n)
    at, counts = _windows(name, sizes, kernel, stride, padding, dilation, ceil_mode)
    y, where = apply(windows.max_pool, x, wrap(at))
    y = y.reshape(lead + counts)
    return (y, where.reshape(lead + counts)) if return_indices else y


def _avg_pool(
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
    n: int,
) -> Any:
    name = f"avg_pool{n}d"
    x, lead, sizes = _flat(name, input, n)
    kernel = several(name, "kernel_size", kernel_size, n)
    at, counts = _windows(name, sizes, kernel, stride, padding, 1, ceil_mode)
    if divisor is not None:
        if not divisor:
            raise RuntimeError("divisor must be not zero")
        count = np.full(len(at), divisor)
    elif count_include_pad:
        count = _covered(name, sizes, kernel, stride, padding, counts)
    else:
        count = (at >= 0).sum(1)
    return apply(windows.average_pool, x, wrap(at), wrap(count)).reshape(lead + counts)


def _covered(
    name: str, sizes: tuple[int, ...], kernel: Any, stride: Any, padding: Any, counts: Any
) -> np.ndarray:
    """Elements of each window within the input and its margin."""
    n = len(sizes)
    steps = kernel if stride is None or stride == () else several(name, "stride", stride, n)
    margins = several(name, "padding", padding, n)
    total = np.ones((), np.int64)
    for size, k, s, m, count in zip(sizes, kernel, steps, margins, counts):
        first = np.arange(count) * s - m
        total = total[..., None] * (np.minimum(first + k, size + m) - first)
    return total.reshape(-1)


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of every window of [N, C, T] or [C, T]; with indices also its place."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 1)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of every window of [N, C, H, W] or [C, H, W]; with indices also its place."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 2)


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The same over three axes."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 3)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The average of every window of [N, C, T] or [C, T]."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, 1)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The average of every window of [N, C, H, W] or [C, H, W]."""
    return _avg_pool(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 2
    )


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The same over three axes."""
    return _avg_pool(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 3
    )


def _adaptive(name: str, input: Any, output_size: Any, n: int) -> tuple[Any, ...]:
    x, lead, sizes = _flat(name, input, n)
    given = (output_size,) * n if isinstance(output_size, int) else tuple(output_size)
    if len(given) != n:
        raise RuntimeError(f"{name}: output_size must be one number or {n}, got {output_size!r}")
    counts = tuple(size if c is None else int(c) for c, size in zip(given, sizes))
    return x, wrap(adaptive_table(sizes, counts)), lead + counts


def _adaptive_avg(input: Any, output_size: Any, n: int) -> Any:
    x, at, shape = _adaptive(f"adaptive_avg_pool{n}d", input, output_size, n)
    return apply(windows.average_pool, x, at, wrap((at.array >= 0).sum(1))).reshape(shape)


def _adaptive_max(input: Any, output_size: Any, return_indices: bool, n: int) -> Any:
    x, at, shape = _adaptive(f"adaptive_max_pool{n}d", input, output_size, n)
    y, where = apply(windows.max_pool, x, at)
    return (y.reshape(shape), where.reshape(shape)) if return_indices else y.reshape(shape)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Averages of `output_size` nearly equal parts of [N, C, T] or [C, T]."""
    return _adaptive_avg(input, output_size, 1)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Averages of nearly equal parts of the last two axes; None keeps an axis."""
    return _adaptive_avg(input, output_size, 2)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Averages of nearly equal parts of the last three axes."""
    return _adaptive_avg(input, output_size, 3)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each of `output_size` nearly equal parts of the last axis."""
    return _adaptive_max(input, output_size, return_indices, 1)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of nearly equal parts of the last two axes."""
    return _adaptive_max(input, output_size, return_indices, 2)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of nearly equal parts of the last three axes."""
    return _adaptive_max(input, output_size, return_indices, 3)
