"""Margins around the last axes: constant, or made of the input's own elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.autograd import apply, wrap
from descent.ops import windows

__all__ = ["pad"]


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Widen (or with negative numbers cut) the last axes.

    Args:
        pad: (left, right) of the last axis, then of the one before it, …
        mode: "constant" (filled with `value`, 0 unless given), "reflect" (mirrored without the
            edge), "replicate" (the edge repeated) or "circular".

    Raises:
        RuntimeError, NotImplementedError: for an odd count, too many axes, or too wide a margin.
    """
    amounts = [int(n) for n in pad]
    nd, shape = input.array.ndim, input.array.shape
    if len(amounts) % 2 or len(amounts) > 2 * nd:
        raise RuntimeError(
            f"Padding length should be even and at most twice the number of axes: got "
            f"{len(amounts)} numbers for input {list(shape)}"
        )
    widths = [(0, 0)] * nd
    for i in range(len(amounts) // 2):
        widths[nd - 1 - i] = (amounts[2 * i], amounts[2 * i + 1])
    for d, (left, right) in enumerate(widths):
        if shape[d] + left + right < 0 or (mode == "constant" and shape[d] + min(left, right) < 0):
            raise RuntimeError(
                f"The input size {shape[d]}, plus negative padding {left} and {right}, resulted in "
                "a negative output size, which is invalid. Check dimension "
                f"{d} of your input."
            )
    if mode == "constant":
        return _constant(input, widths, value)
    if mode not in _POSITIONS:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return _from_input(input, widths, mode, len(amounts) // 2)


def _constant(input: Any, widths: list[tuple[int, int]], value: float | None) -> Any:
    y = apply(windows.pad_zeros, input, widths=tuple(widths))
    if not value:
        return y
    outside = np.ones(y.array.shape, bool)
    ends = zip(widths, y.array.shape)
    outside[tuple(slice(max(left, 0), n - max(right, 0)) for (left, right), n in ends)] = False
    return y.masked_fill(wrap(outside), value)


def _reflected(n: int, left: int, right: int) -> np.ndarray:
    return (n - 1) - np.abs((n - 1) - np.abs(np.arange(-left, n + right)))


def _replicated(n: int, left: int, right: int) -> np.ndarray:
    return np.clip(np.arange(-left, n + right), 0, n - 1)


def _wrapped(n: int, left: int, right: int) -> np.ndarray:
    kept = np.arange(max(-left, 0), n - max(-right, 0))  # negative widths cut first
    return kept[np.arange(-max(left, 0), len(kept) + max(right, 0)) % max(len(kept), 1)]


_POSITIONS = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}


def _from_input(input: Any, widths: list[tuple[int, int]], mode: str, axes: int) -> Any:
    nd = input.array.ndim
    if nd not in (axes + 1, axes + 2):
        raise NotImplementedError(
            f"Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: mode "
            f"{mode!r} of {axes} axes needs an input of {axes + 1} or {axes + 2}, got {nd}"
        )
    for d, (left, right) in enumerate(widths):
        if not (left or right):
            continue
        n = input.array.shape[d]
        most = n - 1 if mode == "reflect" else n if mode == "circular" else max(left, right)
        if max(left, right) > most:
            raise RuntimeError(
                f"Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({left}, {right}) at dimension {d} of input {list(input.array.shape)}"
            )
        input = input.index_select(d, wrap(_POSITIONS[mode](n, left, right)))
    return input
