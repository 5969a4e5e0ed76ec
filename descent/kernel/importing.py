"""Numba without SciPy: a quarter of a second and 22 MB that none of our kernels needs.

The first compilation (or reading of compiled code) loads Numba's array library, which imports
`scipy.linalg`, where it is installed, only to learn whether `np.cov` may call BLAS. Here it is told
so without looking; a function that does call BLAS still looks, when it is compiled.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Any

__all__ = ["numba_alone"]


@functools.cache
def numba_alone() -> Any:
    """The module `numba`, its array library loaded."""
    import numba

    if "numba.np.arraymath" in sys.modules or importlib.util.find_spec("scipy") is None:
        return numba
    from numba.np import linalg

    looking: Any = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        import numba.np.arraymath
    finally:
        linalg.ensure_blas = looking
    return numba
