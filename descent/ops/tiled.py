"""The tiles beside BLAS: a · c of NumPy arrays, divided over threads by panels of c.

    y[:, panels] = a · c[:, panels]        each thread packs the panels it multiplies

Panels do not depend on each other, so however they are shared the bits are the same. One buffer for
panels per thread is kept: fresh memory costs more to ask for than to fill.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from descent.kernel import compiling, processor
from descent.ops import tiles
from descent.threads import n_threads, share, worth_sharing

__all__ = ["few_rows", "flat", "matmul"]

Array = np.ndarray
_kept = threading.local()


def few_rows(x: Array, w: Array) -> bool:
    """Whether tiles beat BLAS at x · wᵀ by measurement: a few rows and a large weight, which BLAS
    spends its time on turning over (8 rows: 1.5 to 1.9 times as fast, 32: 1.3, 128: 1.1)."""
    (m, k), floats = x.shape, x.dtype == w.dtype == np.float32
    large = floats and 4 <= m <= 64 and w.size >= 1 << 18 and k >= 64
    return large and compiling() and processor.has("AVX512F")


def matmul(a: Array, c: Array, bias: Array | None = None) -> Array:
    """a [m, k] · c [k, n] (+ bias [n]) → [m, n], all float32, in any layout."""
    (m, k), n = a.shape, c.shape[1]
    y = np.empty((m, n), np.float32)
    _over_panels(n, m * k, partial(_panels, flat(a), flat(c), k, n, y.reshape(-1), m, bias))
    return y


def _over_panels(n: int, each: int, work: Callable[[int, int], object]) -> None:
    """work(first, last) for all panels of n columns, divided over threads where that pays; `each`
    is how many multiply-adds a column takes."""
    count = -(-n // tiles.WIDTH)
    parts = min(count, 4 * n_threads()) if worth_sharing(2 * each * n) else 1
    share([partial(work, *part) for part in _cuts(count, parts)])


def _cuts(n: int, parts: int) -> list[tuple[int, int]]:
    return list(pairwise([n * i // parts for i in range(parts + 1)]))


def flat(x: Array) -> tuple[Array, int, int]:
    """The numbers of a matrix as one line, with the steps between rows and between columns."""
    if x.flags.c_contiguous:
        return x.reshape(-1), x.shape[1], 1
    if x.flags.f_contiguous:
        return x.T.reshape(-1), 1, x.shape[0]
    return x.ravel(), x.shape[1], 1


def _panels(
    a: tuple[Array, int, int], c: tuple[Array, int, int], k: int, n: int, y: Array, m: int,
    bias: Array | None, first: int, last: int,
) -> None:  # fmt: skip
    """Panels first … last - 1 of y, eight at a time, so that they are still near when read."""
    panels = _buffer(k * 8 * tiles.WIDTH)
    mode, added = (tiles.PLAIN, panels) if bias is None else (tiles.BIAS, _flat32(bias))
    for one in range(first, last, 8):
        count = min(8, last - one)
        left = one * tiles.WIDTH
        line, row, col = c
        tiles.pack(line[left * col :], row, col, k, n - left, panels, 0, count)
        tiles.product(
            *a, panels, k, n - left, y[left:], n, 0, m, 0, count,
            mode, added if bias is None else added[left:],
        )  # fmt: skip


def _flat32(bias: Array) -> Array:
    return np.ascontiguousarray(bias, np.float32)


def _buffer(size: int) -> Array:
    kept = getattr(_kept, "panels", None)
    if kept is None or len(kept) < size:
        kept = _kept.panels = np.empty(size, np.float32)
    return kept
