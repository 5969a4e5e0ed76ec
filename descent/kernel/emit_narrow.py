"""`narrow`, compiled: shifts and masks, the same on every processor."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from descent.kernel import narrow
from descent.kernel.emit import Emitter, compiles_to, integers
from descent.kernel.emit_lanes import FLOATS, INTS, N, splatted

__all__ = ["register"]

_WORDS = ir.VectorType(ir.IntType(32), N)


def register() -> None:
    """Make Numba know the functions of `narrow` (called once)."""
    compiles_to(narrow.pair)(_pair)
    compiles_to(narrow.rounded)(_rounded)
    compiles_to(narrow.floats)(_floats)
    compiles_to(narrow.fill)(_fill)
    compiles_to(narrow.quad)(_quad)


def _all(n: int) -> ir.Constant:
    return ir.Constant(_WORDS, [n] * N)


def _to_nearest(e: Emitter, v: Any) -> Any:
    """The bits of v, its upper half rounded; the lower half is to be dropped."""
    bits = e.builder.bitcast(v, _WORDS)
    odd = e.builder.and_(e.builder.lshr(bits, _all(16)), _all(1))
    nearest = e.builder.add(e.builder.add(bits, _all(0x7FFF)), odd)
    quiet = e.builder.or_(bits, _all(0x400000))
    return e.builder.select(e.builder.fcmp_unordered("uno", v, v), quiet, nearest)


def _pair(_, a, b):
    def emit(e, a, b):
        low = e.builder.lshr(_to_nearest(e, a), _all(16))
        return e.builder.or_(low, e.builder.and_(_to_nearest(e, b), _all(-65536)))

    return (INTS(a, b), emit) if a == b == FLOATS else None


def _rounded(_, v):
    def emit(e, v):
        return e.builder.fptosi(e.intrinsic("llvm.rint.v16f32", v.type, v), _WORDS)

    return (INTS(v), emit) if v == FLOATS else None


def _floats(_, v):
    def emit(e, v):
        return e.builder.sitofp(v, ir.VectorType(ir.FloatType(), N))

    return (FLOATS(v), emit) if v == INTS else None


def _fill(_, n):
    return (INTS(types.int32), lambda e, n: splatted(e, n)) if integers(n) else None


def _quad(_, a, b, c, d):
    def emit(e, a, b, c, d):
        total = e.builder.shl(d, _all(24))
        for part, shift in ((c, 16), (b, 8), (a, 0)):
            byte = e.builder.shl(e.builder.and_(part, _all(255)), _all(shift))
            total = e.builder.or_(total, byte)
        return total

    return (INTS(a, b, c, d), emit) if a == b == c == d == INTS else None
