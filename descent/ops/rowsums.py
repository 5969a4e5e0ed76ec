"""Sums of rows that share a position: the gradient of every lookup.

    out_p = Σ_{j: p_j = p} rows_j

`np.add.at` says this and takes 7 ns a number. The whole-array forms here take 0.5 to 2 ns, each
where it wins: a histogram for narrow rows, a product with 0/1 for small tables, one sum for each
position when positions repeat often, and whole-array additions, one per repetition, when they
repeat rarely. Many float32 go through a compiled loop, in which a thread has columns of its own, so
that no two add to one number: 0.1 to 0.3 ns.
"""

from __future__ import annotations

import functools

import numpy as np

from descent.kernel import compiling, kernel, lanes
from descent.ops.blocks import LARGE
from descent.threads import share, slabs

__all__ = ["add_rows"]

_NARROW = 4  # columns up to which one histogram each is fastest
_SMALL = 1 << 16  # entries of the 0/1 matrix up to which a product is fastest


def add_rows(rows: np.ndarray, positions: np.ndarray, n: int) -> np.ndarray:
    """Rows [J, C] added up at positions [J] in [0, n); returns [n, C] in the rows' dtype."""
    width = rows.shape[1]
    if not rows.size:
        return np.zeros((n, width), rows.dtype)
    if width == 1 and 4 * len(positions) < n:  # few numbers in a large table
        out = np.zeros((n, 1), rows.dtype)
        np.add.at(out[:, 0], positions, rows[:, 0])
        return out
    if width <= _NARROW:
        columns = [np.bincount(positions, rows[:, c], n) for c in range(width)]
        return np.stack(columns, 1).astype(rows.dtype)
    if rows.size >= LARGE and rows.dtype == np.float32 and compiling():
        return _by_columns(rows, positions, n)
    if len(positions) * n <= _SMALL:
        chosen = np.zeros((n, len(positions)), rows.dtype)
        chosen[positions, np.arange(len(positions))] = 1
        with np.errstate(all="ignore"):
            out = chosen @ rows
            if np.isfinite(out.sum()):  # else 0 · inf spoilt rows that have no inf
                return out
    return _in_runs(rows, positions, n)


@kernel
def add_columns(first, last, rows, positions, out, width):
    """Add up columns first … last - 1; `rows` and `out` are flat, their rows `width` long."""
    count = lanes.COUNT
    whole = first + (last - first) // count * count
    for j in range(positions.size):
        row, to = j * width, positions[j] * width
        for c in range(first, whole, count):
            lanes.store(out, to + c, lanes.load(out, to + c) + lanes.load(rows, row + c))
        if whole < last:
            rest = last - whole
            v = lanes.load_part(out, to + whole, rest) + lanes.load_part(rows, row + whole, rest)
            lanes.store_part(out, to + whole, v, rest)


def _by_columns(rows: np.ndarray, positions: np.ndarray, n: int) -> np.ndarray:
    width, vectors = rows.shape[1], -(-rows.shape[1] // lanes.COUNT)
    rows, positions = np.ascontiguousarray(rows).reshape(-1), np.ascontiguousarray(positions)
    out = np.zeros(n * width, np.float32)
    parts = slabs(vectors, max(4, 2 * LARGE * vectors // rows.size))
    edges = [(s.start * lanes.COUNT, min(s.stop * lanes.COUNT, width)) for s in parts]
    share([functools.partial(add_columns, a, b, rows, positions, out, width) for a, b in edges])
    return out.reshape(n, width)


def _in_runs(rows: np.ndarray, positions: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros((n, rows.shape[1]), rows.dtype)
    order = np.argsort(positions, kind="stable")
    ordered = positions[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(starts, append=len(ordered))
    if 2 * int(counts.max()) < len(starts):
        turn = np.arange(len(ordered)) - np.repeat(starts, counts)  # 0 for the first row of a run
        by_turn = order[np.argsort(turn, kind="stable")]
        ends = np.cumsum(np.bincount(turn))
        for pick in np.split(by_turn, ends[:-1]):
            out[positions[pick]] += rows[pick]
    else:
        runs = zip(ordered[starts].tolist(), starts.tolist(), counts.tolist())
        for p, start, count in runs:
            np.add.reduce(rows[order[start : start + count]], 0, out=out[p])
    return out
