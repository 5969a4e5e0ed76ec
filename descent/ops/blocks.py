"""Two ways to keep NumPy forms fast: no branches per element, and work that stays in the cache."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from descent.threads import share, slabs

__all__ = ["in_blocks", "masked"]

BLOCK = 16_384  # elements: a few temporaries of float64 fit a 1 MiB second-level cache
_BITS = {np.dtype(np.float32): np.dtype(np.int32), np.dtype(np.float64): np.dtype(np.int64)}


def masked(values: np.ndarray, mask: Any) -> np.ndarray:
    """`np.where(mask, values, 0)`, five times faster on random masks: and-ing bits never branches.

    Multiplying by the mask would be as fast, but turns a masked ∞ or NaN into NaN.
    """
    values = np.asarray(values)
    bits = _BITS.get(values.dtype)
    if bits is None:
        return np.where(mask, values, 0)
    keep = np.negative(np.asarray(mask).view(np.int8), dtype=bits)  # all bits, or none
    return np.bitwise_and(values.view(bits), keep).view(values.dtype)


def in_blocks(form: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Decorator: run a whole-array form (arrays of one shape first, then numbers) block by block.

    A form of twenty NumPy calls goes over its arrays twenty times; large ones would come from main
    memory each time.
    """

    @functools.wraps(form)
    def run(x: np.ndarray, *rest: Any) -> np.ndarray:
        arrays = [x, *(a for a in rest if isinstance(a, np.ndarray))]
        metas = rest[len(arrays) - 1 :]
        if x.size <= BLOCK or not all(
            a.shape == x.shape and a.dtype == x.dtype and a.flags.c_contiguous for a in arrays
        ):
            return form(x, *rest)
        flat = [a.reshape(-1) for a in arrays]
        y = np.empty(x.shape, x.dtype)
        out = y.reshape(-1)

        def part(s: slice) -> None:
            with np.errstate(all="ignore"):  # a thread of its own has settings of its own
                for i in range(s.start, s.stop, BLOCK):
                    block = slice(i, min(i + BLOCK, s.stop))
                    out[block] = form(*(a[block] for a in flat), *metas)

        share([functools.partial(part, s) for s in slabs(x.size, 2 * BLOCK)])
        return y

    return run
