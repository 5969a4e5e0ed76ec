"""Which places a window covers: the tables that convolution and pooling read by."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

__all__ = ["adaptive_table", "several", "table", "window_count"]


def several(function: str, name: str, value: Any, n: int) -> tuple[int, ...]:
    """One number per axis, from a number, one of a list, or one for each.

    Raises:
        RuntimeError: for another count.
    """
    values = (value,) if isinstance(value, (int, np.integer)) else tuple(value)
    values = values * n if len(values) == 1 else values
    if len(values) != n:
        raise RuntimeError(f"{function}: {name} must be one number or {n}, got {value!r}")
    return tuple(int(v) for v in values)


def window_count(
    size: int, kernel: int, stride: int, margin: int, dilation: int, ceil_mode: bool = False
) -> int:
    """How many windows fit; in `ceil_mode` the last may overhang, but must start inside."""
    room = size + 2 * margin - dilation * (kernel - 1) - 1
    n = (-(-room // stride) if ceil_mode else room // stride) + 1
    return n - 1 if ceil_mode and (n - 1) * stride >= size + margin else n


def table(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    margin: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The flattened place of element k of window s, −1 outside, as [S, K]; the windows per axis."""
    return _table(*map(tuple, (sizes, kernel, stride, margin, dilation)), ceil_mode)


@functools.lru_cache(maxsize=64)
def _table(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    margin: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[np.ndarray, tuple[int, ...]]:
    """`table`, kept for the next step: it depends on shapes alone. Read-only."""
    per_axis, counts = [], []
    for n, k, s, m, d in zip(sizes, kernel, stride, margin, dilation):
        count = window_count(n, k, s, m, d, ceil_mode)
        at = np.arange(max(count, 0))[:, None] * s - m + np.arange(k) * d
        per_axis.append(np.where((at >= 0) & (at < n), at, -1))
        counts.append(count)
    at = _combined(per_axis, sizes)
    at.flags.writeable = False
    return at, tuple(counts)


def adaptive_table(sizes: Sequence[int], counts: Sequence[int]) -> np.ndarray:
    """Windows that divide each axis into `counts` nearly equal parts; −1 fills shorter ones."""
    per_axis = []
    for n, count in zip(sizes, counts):
        i = np.arange(count)
        first, end = i * n // max(count, 1), -(-(i + 1) * n // max(count, 1))
        longest = int((end - first).max()) if count else 0
        at = first[:, None] + np.arange(longest)
        per_axis.append(np.where(at < end[:, None], at, -1))
    return _combined(per_axis, sizes)


def _combined(per_axis: list[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Tables of single axes → the table of their flattened product."""
    whole = per_axis[0]
    for at, n in zip(per_axis[1:], sizes[1:]):
        both = (whole[:, None, :, None] >= 0) & (at[None, :, None, :] >= 0)
        places = whole[:, None, :, None] * n + at[None, :, None, :]
        shape = (whole.shape[0] * at.shape[0], prod((whole.shape[1], at.shape[1])))
        whole = np.where(both, places, -1).reshape(shape)
    return whole
