"""Fused multiply-add: a·b + c with one rounding, in plain NumPy.

PyTorch's AVX2 kernels are compiled with contraction, so most of their a*b + c round once; NumPy
rounds twice, and equality to the last bit needs the hardware's answer.
float32: the product is exact in float64; the sum is rounded there, then once more, which differs
from one rounding only where the float64 lies on a midpoint of two float32: those are nudged.
float64: Boldo & Melquiond 2008, "Emulation of a FMA and correctly rounded sums"; Dekker's product.
Left out: overflow and underflow (no distribution here comes near them).
"""

from typing import Any

import numpy as np

__all__ = ["fma", "fma32", "fma64"]

Operand = np.ndarray | np.floating

_BELOW_FLOAT32 = np.int64((1 << 29) - 1)  # the bits of a float64 that a float32 drops
_MIDPOINT = np.int64(1 << 28)
_SPLITTER = 134217729.0  # 2²⁷ + 1


def fma(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """x · scale + shift in x's dtype (float32 or float64), rounded once."""
    kind = x.dtype.type
    a, b = kind(scale), kind(shift)
    if a == 1 or b == 0:  # one of the two steps is exact: nothing to fuse
        return x * a + b
    return fma32(x, a, b) if kind is np.float32 else fma64(x, a, b)


def fma32(a: Operand, b: Operand, c: Operand) -> np.ndarray:
    """a · b + c for float32, rounded once."""
    product = np.multiply(a, b, dtype=np.float64)
    total = np.add(product, c, dtype=np.float64)
    doubtful = (total.view(np.int64) & _BELOW_FLOAT32) == _MIDPOINT
    if doubtful.any():
        c = np.broadcast_to(c, total.shape)[doubtful].astype(np.float64)
        rounded, error = _two_sum(product[doubtful], c)
        total[doubtful] = np.where(error == 0, rounded, _step(rounded, error))
    return total.astype(np.float32)


def fma64(a: Operand, b: Operand, c: Operand) -> np.ndarray:
    """a · b + c for float64, rounded once."""
    product, product_low = _two_product(a, b)
    low, low_error = _two_sum(np.asarray(c, np.float64), product_low)
    high, high_error = _two_sum(product, low)
    tail, error = _two_sum(high_error, low_error)
    # Rounding the tail to odd keeps the last addition from rounding a rounded number.
    to_odd = (error != 0) & ((tail.view(np.int64) & 1) == 0)
    return high + np.where(to_odd, _step(tail, error), tail)


def _two_sum(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    """a + b exactly, as rounded sum and error (Knuth)."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def _two_product(a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """a · b exactly, as rounded product and error (Dekker)."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _halves(a: Operand) -> tuple[Operand, Operand]:
    high = _SPLITTER * a
    high = high - (high - a)
    return high, a - high


def _step(a: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The neighbour of each a on the side of direction's sign."""
    return np.nextafter(a, np.copysign(np.inf, direction))
