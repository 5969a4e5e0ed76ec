"""A block of a product held in registers while its sums run: R rows of V · 16 columns.

    block[r, c] += a[i + r·row] · b[j + c]        one term of a product: all rows × columns

As written, a block is a NumPy array; compiled, R·V vector registers, so R and V must be constants:
`shape(14, 2)` fills AVX-512's 32 registers with 28 sums, two rows of b and what is read of a.
Arrays are as in `lanes`: 1-D, contiguous, anywhere in memory, no index checked once compiled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from descent.kernel.lanes import COUNT

__all__ = ["Shape", "add", "add_row", "expect", "outer", "shape", "write", "zeros"]

Array = np.ndarray


class Shape(NamedTuple):
    """Rows, and vectors of 16 columns, of a block."""

    rows: int
    vectors: int


def shape(rows: int, vectors: int) -> Shape:
    """The size of a block; compiled, both must be constants in the source."""
    return Shape(rows, vectors)


def zeros(of: Shape) -> Array:
    """A block of float32 zeros."""
    return np.zeros((of.rows, of.vectors * COUNT), np.float32)


def outer(block: Array, a: Array, i: int, row: int, b: Array, j: int) -> Array:
    """block[r, c] + a[i + r·row] · b[j + c], each fused where the processor can."""
    column = a[i + np.arange(len(block)) * row].astype(np.float64)
    return (block + column[:, None] * _inside(b, j, block.shape[1])).astype(np.float32)


def add(block: Array, y: Array, i: int, row: int, skip: int, n: int) -> Array:
    """block[r, c] + y[i + r·row + c] for rows from `skip` on and the first n columns; no other y
    is read."""
    sums = block.copy()
    for r in range(skip, len(block)):
        sums[r, :n] += _inside(y, i + r * row, n)
    return sums


def add_row(block: Array, x: Array, i: int, n: int) -> Array:
    """block[r, c] + x[i + c] for the first n columns; no other x is read."""
    sums = block.copy()
    sums[:, :n] += _inside(x, i, n)
    return sums


def write(block: Array, y: Array, i: int, row: int, skip: int, n: int) -> None:
    """y[i + r·row + c] = block[r, c] for rows from `skip` on and the first n columns; no other y
    is written."""
    for r in range(skip, len(block)):
        _inside(y, i + r * row, n)[:] = block[r, :n]


def expect(of: Shape, y: Array, i: int, row: int) -> None:
    """Ask for y[i + r·row + c] from memory ahead of its use; nothing to do as written."""


def _inside(x: Array, i: int, n: int) -> Array:
    if n and not 0 <= i <= i + n <= len(x):
        raise IndexError(f"elements {i} to {i + n} of an array of {len(x)}: beyond its ends")
    return x[i : i + n]
