"""Fewer bits per number: two bf16 or four bytes to a word, lane by lane.

    pair(a, b) = bf16(a) | bf16(b) << 16        bf16: the upper half of a float32, rounded to even

Lanes are those of `lanes`; `registers.outer` multiplies such words. `widened` and `write` read and
write lanes of arrays that may hold half as many bits, IEEE's float16 (NumPy's), kept as uint16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from descent.kernel.lanes import COUNT, _inside

__all__ = [
    "fill",
    "floats",
    "pair",
    "pairs",
    "put",
    "put_bytes",
    "quad",
    "rounded",
    "widened",
    "word",
    "write",
]

Array = np.ndarray


def pair(a: Array, b: Array) -> Array:
    """float32 lanes a and b as bf16, a in the low and b in the high half of an int32."""
    low, high = _bf16(a), _bf16(b)
    return (low | high << np.uint32(16)).view(np.int32)


def pairs(x: Array, i: int) -> Array:
    """The float32 x[i], …, x[i + 31] as words, each two that follow each other."""
    v = _inside(x, i, 2 * COUNT)
    return pair(v[::2], v[1::2])


def word(a: Any, b: Any) -> Any:
    """Two float32 numbers as one int32, as `pair`."""
    return pair(np.atleast_1d(np.float32(a)), np.atleast_1d(np.float32(b)))[0]


def rounded(v: Array) -> Array:
    """float32 lanes as int32, to the nearest, halves to even."""
    return np.rint(v).astype(np.int32)


def floats(v: Array) -> Array:
    """int32 lanes as float32, to the nearest."""
    return v.astype(np.float32)


def fill(n: int | np.int32) -> Array:
    """The number n in every lane, int32."""
    return np.full(COUNT, n, np.int32)


def quad(a: Array, b: Array, c: Array, d: Array) -> Array:
    """The low bytes of four int32 lanes as one int32, a's lowest."""
    return a & 255 | (b & 255) << 8 | (c & 255) << 16 | d << 24


def widened(x: Array, i: int) -> Array:
    """x[i], …, x[i + 15] as float32 lanes; x: float32, or float16 as uint16."""
    v = _inside(x, i, COUNT)
    return (v if x.dtype == np.float32 else v.view(np.float16)).astype(np.float32)


def write(y: Array, i: int, v: Array) -> None:
    """y[i], …, y[i + 15] = float32 lanes v; y: float32, or float16 as uint16, to the nearest."""
    _inside(y, i, COUNT)[:] = v if y.dtype == np.float32 else _half(v)


def put(y: Array, i: int, s: Any) -> None:
    """y[i] = s, a float32; y: float32, or float16 as uint16, to the nearest."""
    _inside(y, i, 1)[:] = s if y.dtype == np.float32 else _half(np.float32(s))


def put_bytes(y: Array, i: int, v: Array) -> None:
    """y[i], …, y[i + 15] = the low bytes of int32 lanes v; y: uint8."""
    _inside(y, i, COUNT)[:] = (v & 255).astype(np.uint8)


def _half(v: Any) -> Array:
    with np.errstate(over="ignore"):
        return np.atleast_1d(v).astype(np.float16).view(np.uint16)


def _bf16(v: Array) -> Array:
    bits = v.view(np.uint32)
    nearest = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    quiet = bits | np.uint32(0x400000)  # NaN stays NaN
    return np.where(np.isnan(v), quiet, nearest) >> np.uint32(16)
