"""Random integers and permutations.

    randint = low + w mod (high - low): one word w if the range is below 2²⁸, else two (64 bits)
    randperm: for i = 0 … n-2: swap(r_i, r_{i + w mod (n-i)})

Fisher & Yates 1938, Durstenfeld 1964; PyTorch 2.13, ATen/native/TensorFactories.cpp. Bit-equal.
The modulo favours small values a little (by 1 part in 16 at most): PyTorch's does, so ours must.
"""

import functools
import math
import operator
from array import array
from typing import Any

import numpy as np

from descent.random.engine import Generator, Shape, as_shape, draw, resolve

__all__ = ["randint", "randperm"]

_TWO_WORDS_FROM = 1 << 28
_INSIDE_OUT_FROM = ((1 << 32) - 1) // 20


@draw
def randint(
    low: int,
    high: int,
    shape: Shape,
    dtype: Any = np.int64,
    generator: Generator | None = None,
) -> np.ndarray:
    """Integers low ≤ i < high. Raises RuntimeError for low ≥ high or ends the dtype cannot hold."""
    low, high, kind = operator.index(low), operator.index(high), np.dtype(dtype)
    for name, end in (("low", low), ("high", high)):
        if not -(1 << 63) <= end < 1 << 63:
            raise ValueError(f"{name} must lie in [-2**63, 2**63), but got {end}")
    dims = as_shape(shape)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    _check_range(low, high, kind)
    source, span, n = resolve(generator), high - low, math.prod(dims)
    if span >= _TWO_WORDS_FROM:
        offsets = source.random64(n) % np.uint64(span)
    else:
        offsets = source.random32(n) % np.uint32(span)
    if low == 0 and kind == np.int64:  # the common case
        return offsets.astype(np.int64).reshape(dims)
    # Unsigned addition wraps, and the same bits read as signed are the value below 0.
    values = (offsets.astype(np.uint64) + np.uint64(low % (1 << 64))).view(np.int64)
    return values.astype(kind).reshape(dims)


@draw
def randperm(n: int, dtype: Any = np.int64, generator: Generator | None = None) -> np.ndarray:
    """A random order of 0 … n-1. Raises RuntimeError where the dtype cannot hold n."""
    n, kind = operator.index(n), np.dtype(dtype)
    as_shape(n)
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise NotImplementedError(f'"randperm" not implemented for {kind}: int64 would be right')
    largest = (1 << np.finfo(kind).nmant + 1) + 1 if kind.kind == "f" else np.iinfo(kind).max + 1
    if n > largest:
        raise RuntimeError(f"n cannot be greater than {largest} for {kind}, but got n={n}")
    source = resolve(generator)
    if n < _INSIDE_OUT_FROM:
        return np.array(_swap_down(source, n), kind)
    return np.frombuffer(_inside_out(source, n), np.int64).astype(kind)


def _swap_down(source: Generator, n: int) -> list[int]:
    order = list(range(n))
    steps = max(n - 1, 0)
    jumps = source.random32(steps) % np.arange(n, n - steps, -1, dtype=np.uint32)
    for i, jump in enumerate(jumps.tolist()):
        j = i + jump
        order[i], order[j] = order[j], order[i]
    return order


def _inside_out(source: Generator, n: int) -> array:
    # PyTorch's path for huge n (64-bit draws, since w mod n would be skewed): slow, but the same.
    order = array("q", bytes(8 * n))
    block = 1 << 20
    for start in range(0, n, block):
        stop = min(start + block, n)
        bounds = np.arange(start + 1, stop + 1, dtype=np.uint64)
        for i, j in enumerate((source.random64(stop - start) % bounds).tolist(), start):
            order[i] = order[j]
            order[j] = i
    return order


@functools.lru_cache(maxsize=256)
def _check_range(low: int, high: int, kind: np.dtype) -> None:
    if kind.kind == "b":
        least, most = 0, 1
    elif kind.kind in "iu":
        least, most = int(np.iinfo(kind).min), min(int(np.iinfo(kind).max), (1 << 63) - 1)
    elif kind in (np.dtype(np.float32), np.dtype(np.float64)):
        most = 1 << np.finfo(kind).nmant + 1
        least = -most
    else:
        raise NotImplementedError(f'"randint" not implemented for {kind}: int64 would be right')
    for name, end in (("from", low), ("to - 1", high - 1)):
        if not least <= end <= most:
            raise RuntimeError(
                f"{name} is out of bounds for {kind}: {end} is not in [{least}, {most}]"
            )
