"""Is this result PyTorch's? Values within its tolerance, shapes, number types, Python types.

Where PyTorch's own float32 value is off by more than the tolerance (layer_norm's weight gradient of
one element: −2.4e-5, exactly 0), nobody can agree with it and be right. There PyTorch's float64 run
of the same sample arbitrates: an element passes when it is no further from that than PyTorch's
float32 is, provided the two runs of PyTorch agree to 1e-3. Such samples are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .opinfo_db import tolerance

__all__ = ["Mismatch", "array", "compare"]

# Their values are whatever lay in memory: shape and number type are all there is to compare.
UNINITIALISED = frozenset(
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided".split()
)


class Mismatch(Exception):
    """The other library's result differs from PyTorch's; says how."""


def compare(
    actual: Any,
    expected: Any,
    op: Any,
    dtype: torch.dtype,
    what: str,
    precise: Callable[[], np.ndarray | None],
) -> bool:
    """True when equal, False when float64 had to arbitrate; raises Mismatch when different.

    `precise` gives PyTorch's float64 value of `expected`, or None when there is none.
    """
    if not isinstance(expected, (torch.Tensor, np.ndarray)):
        _compare_plain(actual, expected, what)
        return True
    if isinstance(expected, torch.Tensor):
        if not hasattr(actual, "detach"):
            raise Mismatch(f"{what} is a {type(actual).__name__}, expected a tensor")
        actual, expected = array(actual), array(expected)
    if actual.shape != expected.shape:
        raise Mismatch(f"{what} has shape {actual.shape}, expected {expected.shape}")
    if actual.dtype != expected.dtype:
        raise Mismatch(f"{what} is {actual.dtype}, expected {expected.dtype}")
    if op.name in UNINITIALISED:
        return True
    wrong = _differs(actual, expected, tolerance(op, dtype, expected.dtype))
    if not wrong.any():
        return True
    if expected.dtype == np.float32 and _arbitrate(actual, expected, wrong, precise()):
        return False
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    raise Mismatch(
        f"{what} differs in {int(wrong.sum())} of {expected.size} elements, "
        f"first at {list(at)}: {actual[at]} instead of {expected[at]}"
    )


def _differs(actual: np.ndarray, expected: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    if expected.dtype.kind != "f":
        return np.asarray(actual != expected)
    return np.asarray(~np.isclose(actual, expected, *bounds, equal_nan=True))


def _arbitrate(
    actual: np.ndarray, expected: np.ndarray, wrong: np.ndarray, precise: np.ndarray | None
) -> bool:
    """Is every wrong element at least as close to the float64 value as PyTorch's float32 is?"""
    if precise is None or precise.shape != expected.shape:
        return False
    if not np.allclose(expected, precise, 1e-3, 1e-3, equal_nan=True):
        return False  # not rounding: another random stream, a discontinuity
    a, e, p = (x[wrong].astype(np.float64) for x in (actual, expected, precise))
    return bool(np.all(np.abs(a - p) <= np.abs(e - p)))


def _compare_plain(actual: Any, expected: Any, what: str) -> None:
    """Python values: the same type and value; a shape may be any kind of tuple."""
    kind = tuple if isinstance(expected, tuple) else type(expected)
    both_nan = actual != actual and expected != expected
    if not (isinstance(actual, kind) and (actual == expected or both_nan)):
        raise Mismatch(f"{what} is {actual!r} ({type(actual).__name__}), expected {expected!r}")


def array(x: Any) -> np.ndarray:
    """The tensor's numbers."""
    return np.asarray(x.detach().numpy())
