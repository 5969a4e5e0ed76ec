"""Sixteen numbers at once: the processor's vector registers under plain names.

    fma(a, b, c) = a·b + c        in each of 16 lanes, rounded once

As written, lanes are NumPy arrays of 16; compiled, a value of LLVM type `<16 x float>`: one
register with AVX-512, two with AVX2, four with NEON. `+ - * /` work on lanes in both forms. Arrays
are 1-D, contiguous, float32 or int32, and may start anywhere: no alignment is assumed. Compiled,
nothing checks an index.

Use inside a kernel:

    total = lanes.zeros()
    for i in range(0, n, lanes.COUNT):
        total = lanes.fma(lanes.load(x, i), lanes.load(y, i), total)
    return lanes.total(total)
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "COUNT", "expect", "fill", "fma", "largest", "load", "load_part", "maximum", "splat", "store",
    "store_part", "total", "transpose", "where_less", "zeros",
]  # fmt: skip

Array = np.ndarray
COUNT = 16


def load(x: Array, i: int) -> Array:
    """x[i], …, x[i + 15]."""
    return _inside(x, i, COUNT).copy()


def load_part(x: Array, i: int, n: int) -> Array:
    """The first n lanes from x[i], the others 0; nothing beyond x[i + n - 1] is touched."""
    v = np.zeros(COUNT, x.dtype)
    v[:n] = _inside(x, i, n)
    return v


def store(y: Array, i: int, v: Array) -> None:
    """y[i], …, y[i + 15] = v."""
    _inside(y, i, COUNT)[:] = v


def store_part(y: Array, i: int, v: Array, n: int) -> None:
    """The first n lanes to y[i], …, y[i + n - 1]; nothing beyond is touched."""
    _inside(y, i, n)[:] = v[:n]


def expect(x: Array, i: int) -> None:
    """Ask for x[i] and what lies beside it from memory, ahead of its use; x[i] need not exist."""


def splat(x: Array, i: int) -> Array:
    """x[i] in every lane."""
    return np.full(COUNT, _inside(x, i, 1)[0])


def fill(s: Any) -> Array:
    """The number s, as float32, in every lane."""
    return np.full(COUNT, s, np.float32)


def zeros() -> Array:
    """0 in every lane, float32."""
    return np.zeros(COUNT, np.float32)


def fma(a: Array, b: Array, c: Array) -> Array:
    """a·b + c, rounded once where the processor can (a product of float32 fits float64)."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def maximum(a: Array, b: Array) -> Array:
    """The larger of a and b in each lane, NaN where either is."""
    return np.maximum(a, b)


def where_less(a: Array, b: Array, x: Array, y: Array) -> Array:
    """x in the lanes where a < b, y in the others (and where either is NaN)."""
    return np.where(a < b, x, y)


def total(v: Array) -> float:
    """The sum of all lanes, by halves: 8 + 8, 4 + 4, 2 + 2, 1 + 1."""
    while len(v) > 1:
        v = v[: len(v) // 2] + v[len(v) // 2 :]
    return v[0]


def largest(v: Array) -> float:
    """The largest of all float32 lanes, NaN where one is."""
    return v.max()


def transpose(x: Array, i: int, row: int, y: Array, j: int, step: int) -> None:
    """y[j + c·step + r] = x[i + r·row + c] for r, c < 16: a square of numbers turned over."""
    for r in range(COUNT):
        for c in range(COUNT):
            _inside(y, j + c * step + r, 1)[:] = _inside(x, i + r * row + c, 1)


def _inside(x: Array, i: int, n: int) -> Array:
    if n and not 0 <= i <= i + n <= len(x):
        raise IndexError(f"lanes {i} to {i + n} of an array of {len(x)}: beyond its ends")
    return x[i : i + n]
