"""Matrix products through NumPy's BLAS at one thread, large ones divided by ourselves.

    y[i : i+h] = a[i : i+h] · c        for a few slabs of rows (or of columns, or of the batch)

A BLAS that spreads one product over threads makes them wait for each other in a busy loop; when
anything else runs on the machine that collapses (a 256³ product with one core busy: 2 GFLOP/s
instead of 140). See `descent.threads` for how the slabs are shared.

`DESCENT_BLAS=own` leaves BLAS's threads alone and divides nothing.
"""

from __future__ import annotations

import ctypes
import functools
import os
from functools import partial
from pathlib import Path

import numpy as np

from descent.threads import share, slabs, worth_sharing

__all__ = ["dot", "matmul", "single_threaded_blas"]

Array = np.ndarray
_SETTERS = (
    "scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads", "openblas_set_num_threads",
)  # fmt: skip


@functools.cache
def single_threaded_blas() -> bool:
    """Set NumPy's OpenBLAS to one thread; False where it is another BLAS (left as it is)."""
    if os.environ.get("DESCENT_BLAS") == "own":
        return False
    root = Path(np.__file__).parent
    for folder in (root.parent / "numpy.libs", root / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            library = ctypes.CDLL(str(path))
            for name in _SETTERS:
                if hasattr(library, name):
                    getattr(library, name)(ctypes.c_int(1))
                    return True
    return False


def _divide(operations: int, dtype: np.dtype) -> bool:
    return single_threaded_blas() and worth_sharing(operations) and dtype.kind == "f"


def dot(a: Array, c: Array) -> Array:
    """a [m, k] · c [k, n] → [m, n]."""
    (m, k), n = a.shape, c.shape[1]
    if not _divide(2 * m * k * n, a.dtype):
        return np.dot(a, c)
    y = np.empty((m, n), np.result_type(a, c))
    if m >= n:
        share([partial(np.matmul, a[s], c, out=y[s]) for s in slabs(m, 32)])
    else:
        share([partial(np.matmul, a, c[:, s], out=y[:, s]) for s in slabs(n, 32)])
    return y


def matmul(a: Array, c: Array) -> Array:
    """a [b, m, k] · c [b, k, n] → [b, m, n]."""
    b, m, k = a.shape
    n = c.shape[2]
    if b == 1:
        return dot(a[0], c[0])[None]
    if not _divide(2 * b * m * k * n, a.dtype):
        return np.matmul(a, c)
    y = np.empty((b, m, n), np.result_type(a, c))
    share([partial(np.matmul, a[s], c[s], out=y[s]) for s in slabs(b)])
    return y
