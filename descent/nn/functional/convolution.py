"""Convolution over one, two or three axes.

y[n, o, s] = b_o + Σ_i Σ_k x[n, i, s · stride − padding + k · dilation] w[o, i, k]
"""

from __future__ import annotations

from math import prod
from typing import Any

from descent.autograd import apply, wrap
from descent.nn.functional.padding import pad
from descent.nn.functional.places import several, table
from descent.ops import windows
from descent.tensor.common import operands

__all__ = ["conv1d", "conv2d", "conv3d", "unfold"]


def _conv(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    n: int,
) -> Any:
    x, w = operands(input, weight)
    name = f"conv{n}d"
    stride, dilation = several(name, "stride", stride, n), several(name, "dilation", dilation, n)
    _check(name, x, w, groups, n)
    single = x.array.ndim == n + 1
    if single:
        x = x.unsqueeze(0)
    x = pad(x, _margins(name, padding, stride, dilation, w.array.shape[2:], n))
    at, places = table(x.array.shape[2:], w.array.shape[2:], stride, (0,) * n, dilation)
    if min(places) <= 0:
        raise RuntimeError(
            f"Calculated padded input size per channel: {x.array.shape[2:]}. Kernel size: "
            f"{w.array.shape[2:]}. Kernel size can't be greater than actual input size"
        )
    b, c, o = x.array.shape[0], x.array.shape[1], w.array.shape[0]
    flat = x.reshape(b, groups, c // groups, prod(x.array.shape[2:]))  # [B, G, I, places]
    kernels = w.reshape(groups, o // groups, c // groups, at.shape[1])  # [G, O, I, K]
    y = apply(windows.conv, flat, kernels, wrap(at)).reshape(b, o, *places)
    if bias is not None:
        y = y + bias.reshape([1, -1] + [1] * n)
    return y.squeeze(0) if single else y


def _check(name: str, x: Any, w: Any, groups: int, n: int) -> None:
    if x.array.ndim not in (n + 1, n + 2) or w.array.ndim != n + 2:
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name} and a "
            f"{n + 2}D weight, but got sizes {list(x.array.shape)} and {list(w.array.shape)}"
        )
    c = x.array.shape[-n - 1]
    if c != w.array.shape[1] * groups or w.array.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(w.array.shape)}, expected input"
            f"{list(x.array.shape)} to have {w.array.shape[1] * groups} channels, but got {c} "
            f"channels instead ({w.array.shape[0]} outputs must divide by groups)"
        )


def _margins(
    name: str, padding: Any, stride: Any, dilation: Any, kernel: tuple[int, ...], n: int
) -> list[int]:
    """The widths for `pad`, last axis first."""
    if padding == "valid":
        return [0] * (2 * n)
    if padding == "same":
        if max(stride) > 1:
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return [m for t in reversed(totals) for m in (t // 2, t - t // 2)]
    if isinstance(padding, str):
        raise RuntimeError(f"{name}: padding must be 'valid', 'same' or numbers, got {padding!r}")
    return [m for p in reversed(several(name, "padding", padding, n)) for m in (p, p)]


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """input [N, I, T] or [I, T], weight [O, I / groups, K], bias [O] → [N, O, T′]."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """input [N, I, H, W] or [I, H, W], weight [O, I / groups, K, L], bias [O] → [N, O, H′, W′]."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 2)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The same over three axes."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 3)


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Every window of input [N, C, H, W] or [C, H, W] as a column: [N, C · K · L, windows]."""
    kernel, steps = (
        several("unfold", name, v, 2)
        for name, v in (("kernel_size", kernel_size), ("stride", stride))
    )
    if input.array.ndim not in (3, 4):
        raise RuntimeError(
            f"unfold: expected [N, C, H, W] or [C, H, W], got {list(input.array.shape)}"
        )
    gaps = several("unfold", "dilation", dilation, 2)
    margins = several("unfold", "padding", padding, 2)
    single = input.array.ndim == 3
    x = input.unsqueeze(0) if single else input
    x = pad(x, [m for p in reversed(margins) for m in (p, p)])
    at, places = table(x.array.shape[2:], kernel, steps, (0, 0), gaps)
    if min(places) <= 0:
        raise RuntimeError(f"unfold: windows of {kernel} do not fit {x.array.shape[2:]}")
    n, c, h, w = x.array.shape
    columns = x.reshape(n, c, h * w).index_select(2, wrap(at.T.reshape(-1)))
    y = columns.reshape(n, c * at.shape[1], at.shape[0])
    return y.squeeze(0) if single else y
