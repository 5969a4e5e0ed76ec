"""`narrow`, compiled: shifts and masks, the same on every processor."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from descent.kernel import narrow
from descent.kernel.emit import Emitter, compiles_to, flat, integers
from descent.kernel.emit_lanes import FLOATS, INTS, N, splatted

__all__ = ["register"]

_WORDS = ir.VectorType(ir.IntType(32), N)


def register() -> None:
    """Make Numba know the functions of `narrow` (called once)."""
    compiles_to(narrow.pair)(_pair)
    compiles_to(narrow.pairs)(_pairs)
    compiles_to(narrow.word)(_word)
    compiles_to(narrow.rounded)(_rounded)
    compiles_to(narrow.floats)(_floats)
    compiles_to(narrow.fill)(_fill)
    compiles_to(narrow.quad)(_quad)
    compiles_to(narrow.widened)(_widened)
    compiles_to(narrow.write)(_write)
    compiles_to(narrow.put)(_put)
    compiles_to(narrow.put_bytes)(_put_bytes)


def _all(n: int) -> ir.Constant:
    return ir.Constant(_WORDS, [n] * N)


def _twice_as_many(n: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), 2 * N), [n] * (2 * N))


def _to_nearest(e: Emitter, v: Any, many: Any, kind: Any) -> Any:
    """The bits of v, its upper half rounded; the lower half is to be dropped."""
    bits = e.builder.bitcast(v, kind)
    odd = e.builder.and_(e.builder.lshr(bits, many(16)), many(1))
    nearest = e.builder.add(e.builder.add(bits, many(0x7FFF)), odd)
    quiet = e.builder.or_(bits, many(0x400000))
    return e.builder.select(e.builder.fcmp_unordered("uno", v, v), quiet, nearest)


def _both(many: Any, kind: Any) -> Any:
    """Two numbers, or two vectors of them, as halves of words."""

    def emit(e, a, b):
        low = e.builder.lshr(_to_nearest(e, a, many, kind), many(16))
        high = e.builder.and_(_to_nearest(e, b, many, kind), many(-65536))
        return e.builder.or_(low, high)

    return emit


def _pair(_, a, b):
    return (INTS(a, b), _both(_all, _WORDS)) if a == b == FLOATS else None


def _pairs(_, x, i):
    def emit(e, x, i):
        words, halves = (ir.VectorType(ir.IntType(bits), 2 * N) for bits in (32, 16))
        v = e.element(0, x, e.index(1, i), ir.VectorType(ir.FloatType(), 2 * N))
        nearest = _to_nearest(e, e.builder.load(v, align=4), _twice_as_many, words)
        upper = e.builder.trunc(e.builder.lshr(nearest, _twice_as_many(16)), halves)
        return e.builder.bitcast(upper, _WORDS)

    return (INTS(x, i), emit) if flat(x, types.float32) and integers(i) else None


def _word(_, a, b):
    one = ir.IntType(32)
    both = types.int32(types.float32, types.float32)
    return (both, _both(one, one)) if a == b == types.float32 else None


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


_FLOAT, _HALF = ir.FloatType(), ir.HalfType()


def _floats_or_halves(x):
    return flat(x, types.float32, types.uint16)


def _widened(_, x, i):
    def emit(e, x, i):
        kind = ir.VectorType(_FLOAT if whole else _HALF, N)
        v = e.builder.load(e.element(0, x, e.index(1, i), kind), align=4 if whole else 2)
        return v if whole else e.builder.fpext(v, ir.VectorType(_FLOAT, N))

    if not (_floats_or_halves(x) and integers(i)):
        return None
    whole = x.dtype == types.float32
    return FLOATS(x, i), emit


def _write(_, y, i, v):
    def emit(e, y, i, v):
        v = v if whole else e.builder.fptrunc(v, ir.VectorType(_HALF, N))
        e.builder.store(v, e.element(0, y, e.index(1, i), v.type), align=4 if whole else 2)

    if not (_floats_or_halves(y) and integers(i) and v == FLOATS):
        return None
    whole = y.dtype == types.float32
    return types.void(y, i, v), emit


def _put(_, y, i, s):
    def emit(e, y, i, s):
        s = s if whole else e.builder.fptrunc(s, _HALF)
        e.builder.store(s, e.element(0, y, e.index(1, i), s.type), align=4 if whole else 2)

    if not (_floats_or_halves(y) and integers(i)):
        return None
    whole = y.dtype == types.float32
    return types.void(y, i, types.float32), emit


def _put_bytes(_, y, i, v):
    def emit(e, y, i, v):
        v = e.builder.trunc(v, ir.VectorType(ir.IntType(8), N))
        e.builder.store(v, e.element(0, y, e.index(1, i), v.type), align=1)

    ours = flat(y, types.uint8) and integers(i) and v == INTS
    return (types.void(y, i, v), emit) if ours else None
