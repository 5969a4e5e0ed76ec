"""The largest and the smallest, and where they are.

amax       y_r = max_c x_rc;  k equal largest elements share the gradient, 1/k each
max        y_r and its first position i_r;  the gradient goes to x[r, i_r]
any, all   is one, is every element not 0?            NaN counts as the largest and the smallest
"""

from __future__ import annotations

import copy

import numpy as np

from descent.kernel import prange
from descent.op import Rows, op
from descent.ops import rowwise
from descent.ops.blocks import large_rows, to_rows

__all__ = [
    "all_", "amax", "amin", "any_", "argmax", "argmin", "count_nonzero", "max_", "max_of_all",
    "min_", "min_of_all",
]  # fmt: skip


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: r * c)
def amax(x, y):
    """The largest element."""
    for r in prange(x.shape[0]):
        m = x[r, 0]
        ties = 1
        for c in range(1, x.shape[1]):
            if x[r, c] > m or x[r, c] != x[r, c]:
                m = x[r, c]
                ties = 1
            elif x[r, c] == m:
                ties += 1
        y[r] = m
        if ties > 1 and abs(m) < np.inf:  # adds 0, and gives every tie its part in the derivative
            for c in range(x.shape[1]):
                if x[r, c] == m:
                    y[r] += (x[r, c] - m) / ties


@amax.numpy
def _(x):
    return np.maximum.reduce(x, 1)


@amax.ladder.add("tuned", when=large_rows)
def _(x):
    return to_rows(rowwise.amax, x)


@op("r [c] -> r", lower=Rows(), flops=lambda r, c: r * c)
def amin(x, y):
    """The smallest element."""
    for r in prange(x.shape[0]):
        m = x[r, 0]
        ties = 1
        for c in range(1, x.shape[1]):
            if x[r, c] < m or x[r, c] != x[r, c]:
                m = x[r, c]
                ties = 1
            elif x[r, c] == m:
                ties += 1
        y[r] = m
        if ties > 1 and abs(m) < np.inf:
            for c in range(x.shape[1]):
                if x[r, c] == m:
                    y[r] += (x[r, c] - m) / ties


@amin.numpy
def _(x):
    return np.minimum.reduce(x, 1)


def shared_grad(x, y, dy, dx):
    for r in prange(x.shape[0]):
        ties = 0
        for c in range(x.shape[1]):
            if x[r, c] == y[r] or (x[r, c] != x[r, c] and y[r] != y[r]):
                ties += 1
        for c in range(x.shape[1]):
            if x[r, c] == y[r] or (x[r, c] != x[r, c] and y[r] != y[r]):
                dx[r, c] = dy[r] / ties
            else:
                dx[r, c] = 0 * dy[r]


def _shared(x, y, dy):
    chosen = x == y[:, None]
    if (y != y).any():
        chosen |= (x != x) & (y != y)[:, None]
    return chosen * (dy / chosen.sum(1).astype(dy.dtype))[:, None]


amax.grad(shared_grad).numpy(_shared)
amin.grad(shared_grad).numpy(_shared)

max_of_all, min_of_all = copy.copy(amax), copy.copy(amin)  # what max(x) and min(x) are
max_of_all.name, min_of_all.name = "max", "min"


@op("r [c] -> r, r", lower=Rows(), visible=2, out=[None, "int64"], flops=lambda r, c: r * c)
def max_(x, y, index):
    """The largest element and its position, the first one of several equal ones."""
    for r in prange(x.shape[0]):
        k = 0
        for c in range(1, x.shape[1]):
            if x[r, c] > x[r, k] or (x[r, c] != x[r, c] and x[r, k] == x[r, k]):
                k = c
        y[r] = x[r, k]
        index[r] = k


@max_.numpy
def _(x):
    index = x.argmax(1)
    return x[np.arange(len(index)), index], index


@op("r [c] -> r, r", lower=Rows(), visible=2, out=[None, "int64"], flops=lambda r, c: r * c)
def min_(x, y, index):
    """The smallest element and its position, the first one of several equal ones."""
    for r in prange(x.shape[0]):
        k = 0
        for c in range(1, x.shape[1]):
            if x[r, c] < x[r, k] or (x[r, c] != x[r, c] and x[r, k] == x[r, k]):
                k = c
        y[r] = x[r, k]
        index[r] = k


@min_.numpy
def _(x):
    index = x.argmin(1)
    return x[np.arange(len(index)), index], index


def chosen_grad(index, dy, dx):
    for r in prange(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[r, c] = dy[r] if c == index[r] else 0 * dy[r]


def _chosen(index, dy, shape):
    dx = np.zeros(shape, dy.dtype)
    dx[np.arange(len(index)), index] = dy
    return dx


max_.grad(chosen_grad).numpy(_chosen)
min_.grad(chosen_grad).numpy(_chosen)


@op("r [c] -> r", lower=Rows(), out=["int64"], flops=lambda r, c: r * c)
def argmax(x, y):
    """The position of the largest element."""
    for r in prange(x.shape[0]):
        k = 0
        for c in range(1, x.shape[1]):
            if x[r, c] > x[r, k] or (x[r, c] != x[r, c] and x[r, k] == x[r, k]):
                k = c
        y[r] = k


argmax.numpy(lambda x: x.argmax(1))


@op("r [c] -> r", lower=Rows(), out=["int64"], flops=lambda r, c: r * c)
def argmin(x, y):
    """The position of the smallest element."""
    for r in prange(x.shape[0]):
        k = 0
        for c in range(1, x.shape[1]):
            if x[r, c] < x[r, k] or (x[r, c] != x[r, c] and x[r, k] == x[r, k]):
                k = c
        y[r] = k


argmin.numpy(lambda x: x.argmin(1))


@op("r [c] -> r", lower=Rows(), out=["bool"], flops=lambda r, c: r * c)
def any_(x, y):
    """Is one of the elements not 0?"""
    for r in prange(x.shape[0]):
        y[r] = False
        for c in range(x.shape[1]):
            if x[r, c] != 0:
                y[r] = True


any_.numpy(lambda x: x.any(1))


@op("r [c] -> r", lower=Rows(), out=["bool"], flops=lambda r, c: r * c)
def all_(x, y):
    """Is none of the elements 0?"""
    for r in prange(x.shape[0]):
        y[r] = True
        for c in range(x.shape[1]):
            if x[r, c] == 0:
                y[r] = False


all_.numpy(lambda x: x.all(1))


@op("r [c] -> r", lower=Rows(), out=["int64"], flops=lambda r, c: r * c)
def count_nonzero(x, y):
    """How many elements are not 0?"""
    for r in prange(x.shape[0]):
        n = 0
        for c in range(x.shape[1]):
            if x[r, c] != 0:
                n += 1
        y[r] = n


count_nonzero.numpy(lambda x: (x != 0).sum(1))
