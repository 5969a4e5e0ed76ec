"""One term of a product in each lane: total + a·b, for floats, pairs of bf16 and quads of bytes.

Intel 64 manual, vol. 2: VDPBF16PS, VPDPBUSD. LLVM has renamed the types these instructions are
declared with; it still reads the first ones, 16 lanes of 32 bits, in every release.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import binding, ir

from descent.kernel.emit import Emitter
from descent.kernel.emit_lanes import N

__all__ = ["product_of_floats", "product_of_pairs", "product_of_quads"]

_WORDS, _FLOATS = ir.VectorType(ir.IntType(32), N), ir.VectorType(ir.FloatType(), N)


@functools.cache
def _has(feature: str) -> bool:
    """Whether code may use this unit: what LLVM says, since it is LLVM that writes the code."""
    return bool(binding.get_host_cpu_features().get(feature))


def product_of_floats(e: Emitter, a: Any, b: Any, total: Any) -> Any:
    """total + a·b, fused where that is one instruction."""
    return e.intrinsic("llvm.fmuladd.v16f32", _FLOATS, a, b, total)


def product_of_pairs(e: Emitter, a: Any, b: Any, total: Any) -> Any:
    """total + a₀·b₀ + a₁·b₁, bf16 in the halves of a word."""
    if _has("avx512bf16"):
        return e.intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, total, a, b)
    for part in (_low_half, _high_half):
        total = product_of_floats(e, part(e, a), part(e, b), total)
    return total


def _low_half(e: Emitter, pair: Any) -> Any:
    return e.builder.bitcast(e.builder.shl(pair, _all(16)), _FLOATS)


def _high_half(e: Emitter, pair: Any) -> Any:
    return e.builder.bitcast(e.builder.and_(pair, _all(-65536)), _FLOATS)


def product_of_quads(e: Emitter, a: Any, b: Any, total: Any) -> Any:
    """total + Σ of four products, bytes of a word: unsigned in a, signed in b."""
    if _has("avx512vnni"):
        return e.intrinsic("llvm.x86.avx512.vpdpbusd.512", _WORDS, total, a, b)
    for shift in (0, 8, 16, 24):
        left = e.builder.and_(e.builder.lshr(a, _all(shift)), _all(255))
        right = e.builder.ashr(e.builder.shl(b, _all(24 - shift)), _all(24))
        total = e.builder.add(total, e.builder.mul(left, right))
    return total


def _all(n: int) -> ir.Constant:
    return ir.Constant(_WORDS, [n] * N)
