"""Windows: convolution and pooling over neighbourhoods of one, two or more axes.

    conv     y[b, g, o, s] = Σ_i Σ_k x[b, g, i, at[s, k]] · w[g, o, i, k]
    pooling  y[n, s] = max_k x[n, at[s, k]]     or     Σ_k x[n, at[s, k]] / count[s]

The place axes of x are flattened to one; the table `at` says which place the k-th element of the
s-th window is, which covers stride, dilation and any number of axes; −1 is a place outside.
LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II.
"""

from __future__ import annotations

import numpy as np

from descent.kernel import compiling, prange
from descent.op import movement, op
from descent.ops.sliding import convolve, convolve_grad_w, convolve_grad_x, grid_of

__all__ = ["average_pool", "conv", "max_pool", "pad_zeros"]

WORTH = 500_000  # products from which compiled tiles are worth their compilation
CHANNELS = 16  # input channels from which they fill the columns of a tile


@movement
def pad_zeros(x, widths):
    """x with zeros before and after every axis; negative widths cut."""
    inner = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, x.shape))
    return np.pad(x[inner], [(max(a, 0), max(b, 0)) for a, b in widths])


@pad_zeros.grad
def _(dy, shape, widths):
    return pad_zeros.fn(dy, [(-a, -b) for a, b in widths])


@op(
    "b g i t, g o i k, s k -> b g o s",
    flops=lambda b, g, i, t, o, k, s: 2 * b * g * i * o * k * s,
)
def conv(x, w, at, y):
    """Weighted sums over windows, in g groups of channels."""
    for b in prange(x.shape[0]):
        for g in range(x.shape[1]):
            for o in range(w.shape[1]):
                for s in range(at.shape[0]):
                    total = x[b, g, 0, at[s, 0]] * w[g, o, 0, 0]
                    for i in range(x.shape[2]):
                        for k in range(at.shape[1]):
                            if i + k > 0:
                                total += x[b, g, i, at[s, k]] * w[g, o, i, k]
                    y[b, g, o, s] = total


def as_slice(places: np.ndarray) -> slice | np.ndarray:
    """The same places as a slice where they are evenly spaced: faster to copy and to add into."""
    steps = np.diff(places)
    if steps.size and steps[0] > 0 and (steps == steps[0]).all():
        return slice(int(places[0]), int(places[-1]) + 1, int(steps[0]))
    return places


def columns(x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The windows as a matrix per sample and group: [b, g, i k, s]."""
    b, g, i, _ = x.shape
    windows = np.empty((b, g, i, at.shape[1], at.shape[0]), x.dtype)
    for k in range(at.shape[1]):
        windows[..., k, :] = x[..., as_slice(at[:, k])]
    return windows.reshape(b, g, i * at.shape[1], at.shape[0])


@conv.numpy
def conv_columns(x, w, at):
    return np.matmul(w.reshape(*w.shape[:2], -1), columns(x, at))


def worth_sliding(x: np.ndarray, at: np.ndarray, others: int) -> bool:
    """Whether there is enough work for compiled tiles: `others` sums for each number of x."""
    return x.dtype == np.float32 and x.size * at.shape[1] * others >= WORTH and compiling()


@conv.ladder.add("tuned", when=lambda x, w, at: worth_sliding(x, at, w.shape[1]))
def _(x, w, at):
    grid = grid_of(at, x.shape[3])
    return conv_columns(x, w, at) if grid is None else convolve(x, w, grid)


@conv.grad
def conv_grad_x(w, at, dy, dx):
    for b in prange(dx.shape[0]):
        for g in range(dx.shape[1]):
            for i in range(dx.shape[2]):
                for t in range(dx.shape[3]):
                    dx[b, g, i, t] = 0 * w[g, 0, i, 0]
                for s in range(at.shape[0]):
                    for k in range(at.shape[1]):
                        for o in range(w.shape[1]):
                            dx[b, g, i, at[s, k]] += dy[b, g, o, s] * w[g, o, i, k]


@conv_grad_x.numpy
def conv_grad_x_columns(w, at, dy, shape):
    g, o, i, n = w.shape
    d = np.matmul(w.reshape(g, o, i * n).swapaxes(1, 2), dy)  # [b, g, i k, s]
    d = d.reshape(*shape[:3], n, at.shape[0])
    dx = np.zeros(shape, dy.dtype)
    for k in range(n):  # for one k, no two windows share a place
        dx[..., as_slice(at[:, k])] += d[..., k, :]
    return dx


@conv_grad_x.add("tuned", when=lambda w, at, dy: worth_sliding(dy, at, w.shape[2]))
def _(w, at, dy, shape):
    grid = grid_of(at, shape[3])
    if grid is None:
        return conv_grad_x_columns(w, at, dy, shape)
    return convolve_grad_x(w, dy, grid, shape[3])


@conv.grad
def conv_grad_w(x, at, dy, dw):
    for g in prange(dw.shape[0]):
        for o in range(dw.shape[1]):
            for i in range(dw.shape[2]):
                for k in range(dw.shape[3]):
                    total = 0 * dy[0, g, o, 0]
                    for b in range(x.shape[0]):
                        for s in range(at.shape[0]):
                            total += dy[b, g, o, s] * x[b, g, i, at[s, k]]
                    dw[g, o, i, k] = total


@conv_grad_w.numpy
def conv_grad_w_columns(x, at, dy, shape):
    return np.matmul(dy, columns(x, at).swapaxes(2, 3)).sum(0).reshape(shape)


@conv_grad_w.add(
    "tuned",
    when=lambda x, at, dy: x.shape[2] >= CHANNELS and worth_sliding(x, at, dy.shape[2]),
)
def _(x, at, dy, shape):
    grid = grid_of(at, x.shape[3])
    return conv_grad_w_columns(x, at, dy, shape) if grid is None else convolve_grad_w(x, dy, grid)


@op("n t, s k -> n s, n s", visible=2, out=[None, "int64"])
def max_pool(x, at, y, where):
    """The largest element of every window, and the place it was found at."""
    for n in prange(x.shape[0]):
        for s in range(at.shape[0]):
            found = -1
            for k in range(at.shape[1]):
                t = at[s, k]
                if t >= 0:
                    if found < 0 or x[n, t] > x[n, found] or x[n, t] != x[n, t]:
                        found = t  # NaN wins
            y[n, s] = x[n, found]
            where[n, s] = found


@max_pool.numpy
def _(x, at):
    seen = np.where(at >= 0, x[:, np.maximum(at, 0)], -np.inf)  # [n, s, k]
    place = at[np.arange(at.shape[0]), seen.argmax(2)]
    first = at[np.arange(at.shape[0]), (at >= 0).argmax(1)]  # where all are −inf
    place = np.where(place >= 0, place, first)
    return np.take_along_axis(x, place, 1), place


@max_pool.grad
def max_pool_grad(at, where, dy, dx):
    for n in prange(dx.shape[0]):
        for t in range(dx.shape[1]):
            dx[n, t] = 0 * dy[n, 0]
        for s in range(dy.shape[1]):
            dx[n, where[n, s]] += dy[n, s]


@max_pool_grad.numpy
def _(at, where, dy, shape):
    dx = np.zeros(shape, dy.dtype)
    for k in range(at.shape[1]):  # for one k, no two windows share a place
        inside = at[:, k] >= 0
        places = at[inside, k]
        dx[:, places] += dy[:, inside] * (where[:, inside] == places)
    return dx


@op("n t, s k, s -> n s")
def average_pool(x, at, count, y):
    """The sum of every window divided by its count."""
    for n in prange(x.shape[0]):
        for s in range(at.shape[0]):
            total = 0 * x[n, 0]
            for k in range(at.shape[1]):
                if at[s, k] >= 0:
                    total += x[n, at[s, k]]
            y[n, s] = total / count[s]


@average_pool.numpy
def _(x, at, count):
    seen = x[:, np.maximum(at, 0)]
    if (at < 0).any():
        seen[:, at < 0] = 0
    return seen.sum(2) / count.astype(x.dtype)


@average_pool.grad
def average_pool_grad(at, count, dy, dx):
    for n in prange(dx.shape[0]):
        for t in range(dx.shape[1]):
            dx[n, t] = 0 * dy[n, 0]
        for s in range(at.shape[0]):
            for k in range(at.shape[1]):
                if at[s, k] >= 0:
                    dx[n, at[s, k]] += dy[n, s] / count[s]


@average_pool_grad.numpy
def _(at, count, dy, shape):
    dx = np.zeros(shape, dy.dtype)
    share = dy / count.astype(dy.dtype)
    for k in range(at.shape[1]):  # adaptive windows may share a place for one k
        inside = at[:, k] >= 0
        np.add.at(dx.T, at[inside, k], share[:, inside].T)
    return dx
