"""Sorting: the same numbers in order of size. Finding the order is not differentiable; picking the
elements in that order is: every gradient goes back to the place its number came from.

    y_c = x[i_c]            dx[i_c] = dy_c            (each place at most once)

NaN counts as larger than every number. Equal elements keep their order (all sorts are stable).
"""

from __future__ import annotations

import numpy as np

from descent.op import movement

__all__ = ["kthvalue", "largest", "median", "mode", "msort", "order", "share", "sort", "topk"]


def order(x, dim, descending=False):
    """Positions that sort an array along an axis (stable)."""
    if not x.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, dim, kind="stable")
    mirrored = np.argsort(np.flip(x, dim), dim, kind="stable")
    return np.flip(x.shape[dim] - 1 - mirrored, dim)


def largest(x, k, dim, smallest=False):
    """Positions of the k largest (or smallest) elements along an axis, in order of size."""
    if not x.ndim:
        return np.zeros((), np.int64) if k else np.zeros(0, np.int64)
    n = x.shape[dim]
    head = (slice(None),) * dim
    if k * 8 < n:  # few of many: set them apart first, then sort these
        if smallest:
            few = np.argpartition(x, k - 1, dim)[(*head, slice(0, k))] if k else None
        else:
            few = np.argpartition(x, n - k, dim)[(*head, slice(n - k, None))] if k else None
        if few is None:
            return np.zeros((*x.shape[:dim], 0, *x.shape[dim + 1 :]), np.int64)
        few = np.sort(few, dim)
        inner = order(np.take_along_axis(x, few, dim), dim, not smallest)
        return np.take_along_axis(few, inner, dim)
    return order(x, dim, not smallest)[(*head, slice(0, k))]


@movement
def sort(x, dim, index):
    """The elements at positions `index` along an axis, none of them twice."""
    return np.take_along_axis(x, index, dim) if x.ndim else x.reshape(index.shape)


@sort.grad
def _(dy, given, dim, index):
    dx = np.zeros(given, dy.dtype)
    if given:
        np.put_along_axis(dx, index, dy, dim)
    elif dy.size:
        dx[...] = dy.reshape(())
    return dx


msort, topk, kthvalue = sort.named("msort"), sort.named("topk"), sort.named("kthvalue")
median, mode = sort.named("median"), sort.named("mode")


@movement
def share(x, positions):
    """The element at the first of several flat positions with equal elements, which share the
    gradient."""
    return x.reshape(-1)[positions[0]].reshape(())


@share.grad
def _(dy, given, positions):
    dx = np.zeros(given, dy.dtype)
    dx.reshape(-1)[positions] = dy / dy.dtype.type(len(positions))
    return dx
