"""A block of a product held in registers while its sums run: R rows of V · 16 columns.

    block[r, c] += a[i + r·row] · b[j + c]        one term of a product: all rows × columns

As written, a block is a NumPy array; compiled, R·V vector registers, so R and V must be constants:
`shape(14, 2)` fills AVX-512's 32 registers with 28 sums, two rows of b and what is read of a.
Arrays are as in `lanes`: 1-D, contiguous, anywhere in memory, no index checked once compiled.

What a term is, the types of the arrays say:

| sums | a, b | one element of a and b |
|---|---|---|
| float32 | float32 | a number; the term is their product |
| float32 | int32 | two bf16, the first in the low half; the sum of two products |
| int32 | int32 | four bytes, unsigned in a and signed in b; the sum of four products |

The last two are single instructions of processors with AVX-512 BF16 and VNNI; elsewhere a few.
`outer_bytes` and `outer_nibbles` take the unsigned numbers from b and 32 terms at once: weights
stored with an offset, as bytes or half bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from descent.kernel.lanes import COUNT

__all__ = [
    "Shape", "add", "add_row", "add_scaled", "expect", "fill", "outer", "outer_bytes",
    "outer_nibbles", "shape", "write", "zeros",
]  # fmt: skip

Array = np.ndarray


class Shape(NamedTuple):
    """Rows, and vectors of 16 columns, of a block."""

    rows: int
    vectors: int


def shape(rows: int, vectors: int) -> Shape:
    """The size of a block; compiled, both must be constants in the source."""
    return Shape(rows, vectors)


def zeros(of: Shape, y: Array) -> Array:
    """A block of zeros of y's type, float32 or int32."""
    return np.zeros((of.rows, of.vectors * COUNT), y.dtype)


def outer(block: Array, a: Array, i: int, row: int, b: Array, j: int) -> Array:
    """block[r, c] + a[i + r·row] · b[j + c]; see the module's table."""
    column, line = a[i + np.arange(len(block)) * row], _inside(b, j, block.shape[1])
    if a.dtype == np.float32:
        pairs = [(column, line)]
    elif block.dtype == np.float32:
        pairs = list(zip(_bf16(column), _bf16(line)))
    else:
        pairs = list(zip(_bytes(column, np.uint8), _bytes(line, np.int8)))
    wide = np.float64 if block.dtype == np.float32 else np.int32
    total = block.astype(wide)
    for left, right in pairs:
        total += left.astype(wide)[:, None] * right
    return total.astype(block.dtype)


def _bf16(pairs: Array) -> tuple[Array, Array]:
    """The two bf16 of each number, as float32."""
    return (pairs << 16).view(np.float32), (pairs & -65536).view(np.float32)


def _bytes(quads: Array, dtype: type) -> list[Array]:
    """The four bytes of each number, lowest first."""
    return [(quads >> shift & 255).astype(np.uint8).view(dtype) for shift in (0, 8, 16, 24)]


def fill(of: Shape, x: Array, i: int, row: int) -> Array:
    """A block whose row r is x[i + r·row] in every column."""
    return np.repeat(x[i + np.arange(of.rows) * row][:, None], of.vectors * COUNT, axis=1)


def outer_bytes(block: Array, a: Array, i: int, row: int, b: Array, j: int) -> Array:
    """int32 block[r, c] + Σ of 32 products: eight words of four signed bytes from a[i + r·row] on,
    eight rows of words of four unsigned bytes from b[j] on."""
    for w in range(8):
        right = _bytes(_inside(b, j + w * block.shape[1], block.shape[1]), np.uint8)
        block = _quads(block, a, i + w, row, right)
    return block


def outer_nibbles(block: Array, a: Array, i: int, row: int, b: Array, j: int) -> Array:
    """The same with half bytes: four rows of b, the low halves for a's even words, the high ones
    for its odd words."""
    for w in range(8):
        line = _inside(b, j + w // 2 * block.shape[1], block.shape[1])
        right = [half >> 4 * (w % 2) & 15 for half in _bytes(line, np.uint8)]
        block = _quads(block, a, i + w, row, right)
    return block


def _quads(block: Array, a: Array, i: int, row: int, right: list[Array]) -> Array:
    """block[r, c] + the four products of a's signed bytes with these unsigned ones."""
    left = _bytes(a[i + np.arange(len(block)) * row], np.int8)
    for x, y in zip(left, right):
        block = block + x.astype(np.int32)[:, None] * y.astype(np.int32)
    return block


def add_scaled(total: Array, block: Array, s: Array, i: int, row: int, t: Array, j: int) -> Array:
    """total[r, c] + block[r, c] · (s[i + r·row] · t[c]): an int32 block in units of row r and of
    column c. t: float16, two to a word of the int32 array from t[j] on."""
    columns = _inside(t, j, block.shape[1] // 2).view(np.float16).astype(np.float32)
    units = s[i + np.arange(len(block)) * row][:, None] * columns
    wide = total.astype(np.float64) + block.astype(np.float32).astype(np.float64) * units
    return wide.astype(np.float32)


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
