"""`lanes`, compiled: values of LLVM type `<16 x float>` (or `<16 x i32>`)."""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.extending import register_model
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from descent.kernel import lanes
from descent.kernel.emit import Emitter, compiles_to, flat, integers

__all__ = [
    "FLOATS",
    "INTS",
    "Lanes",
    "N",
    "first_lanes",
    "register",
    "splatted",
    "suffix",
    "vector_of",
]

N = lanes.COUNT


class Lanes(types.Type):
    """Numba's name for 16 numbers in a register."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


FLOATS, INTS = Lanes(types.float32), Lanes(types.int32)


def vector_of(dtype: Any) -> ir.VectorType:
    """The LLVM type of 16 numbers."""
    return ir.VectorType(ir.FloatType() if dtype == types.float32 else ir.IntType(32), N)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, vector_of(fe_type.dtype))


def register() -> None:
    """Make Numba know the functions of `lanes` (called once)."""
    for function, define in (
        (lanes.load, _load), (lanes.load_part, _load_part), (lanes.store, _store),
        (lanes.store_part, _store_part), (lanes.splat, _splat), (lanes.fill, _fill),
        (lanes.zeros, _zeros), (lanes.fma, _fma), (lanes.maximum, _maximum),
        (lanes.total, _total), (lanes.transpose, _transpose), (lanes.where_less, _where_less),
        (lanes.largest, _largest), (lanes.expect, _expect),
    ):  # fmt: skip
        compiles_to(function)(define)
    for sign, float_name, int_name in (
        (operator.add, "fadd", "add"), (operator.sub, "fsub", "sub"), (operator.mul, "fmul", "mul"),
        (operator.truediv, "fdiv", ""),
    ):  # fmt: skip
        _register_operator(sign, float_name, int_name)


def _register_operator(sign: Any, float_name: str, int_name: str) -> None:
    class Typed(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            same = len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]
            same = same and (args[0] == FLOATS or int_name != "")
            return signature(args[0], *args) if same else None

    infer_global(sign)(Typed)  # pyright: ignore[reportOptionalCall]

    @lower_builtin(sign, Lanes, Lanes)
    def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        name = float_name if sig.return_type.dtype == types.float32 else int_name
        return getattr(builder, name)(*args)


def _numbers(x: Any) -> bool:
    return flat(x, types.float32, types.int32)


def _load(_, x, i):
    def emit(e, x, i):
        place = e.element(0, x, e.index(1, i), vector_of(x_type.dtype))
        return e.builder.load(place, align=4)

    x_type = x

    return (Lanes(x.dtype)(x, i), emit) if _numbers(x) and integers(i) else None


def _store(_, y, i, v):
    def emit(e, y, i, v):
        e.builder.store(v, e.element(0, y, e.index(1, i), v.type), align=4)

    return (types.void(y, i, Lanes(y.dtype)), emit) if _numbers(y) and integers(i) else None


def first_lanes(e: Emitter, n: Any) -> Any:
    """A mask of the lanes below n."""
    kind = ir.VectorType(ir.IntType(32), N)
    n = e.builder.trunc(n, ir.IntType(32))
    return e.builder.icmp_signed("<", ir.Constant(kind, list(range(N))), splatted(e, n))


def splatted(e: Emitter, value: Any) -> Any:
    kind = ir.VectorType(value.type, N)
    one = e.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), N), [0] * N)
    return e.builder.shuffle_vector(one, one, order)


def suffix(dtype: Any) -> str:
    return "v16f32" if dtype == types.float32 else "v16i32"


def _load_part(_, x, i, n):
    def emit(e, x, i, n):
        kind, mask = vector_of(x_type.dtype), first_lanes(e, e.index(2, n))
        place = e.element(0, x, e.index(1, i))
        name = f"llvm.masked.load.{suffix(x_type.dtype)}.p0"
        return e.intrinsic(name, kind, place, ir.IntType(32)(4), mask, ir.Constant(kind, None))

    x_type = x
    return (Lanes(x.dtype)(x, i, n), emit) if _numbers(x) and integers(i, n) else None


def _store_part(_, y, i, v, n):
    def emit(e, y, i, v, n):
        place, mask = e.element(0, y, e.index(1, i)), first_lanes(e, e.index(3, n))
        name = f"llvm.masked.store.{suffix(y_type.dtype)}.p0"
        e.intrinsic(name, ir.VoidType(), v, place, ir.IntType(32)(4), mask)

    y_type = y
    ours = _numbers(y) and integers(i, n)
    return (types.void(y, i, Lanes(y.dtype), n), emit) if ours else None


def _expect(_, x, i):
    def emit(e, x, i):
        word, place = ir.IntType(32), e.element(0, x, e.index(1, i), ir.IntType(8))
        flags = (word(0), word(3), word(1))  # to be read, keep near, data
        e.intrinsic("llvm.prefetch.p0", ir.VoidType(), place, *flags)

    ours = isinstance(x, types.Array) and integers(i)
    return (types.void(x, i), emit) if ours else None


def _splat(_, x, i):
    def emit(e, x, i):
        return splatted(e, e.builder.load(e.element(0, x, e.index(1, i)), align=4))

    return (Lanes(x.dtype)(x, i), emit) if _numbers(x) and integers(i) else None


def _fill(_, s):
    if not isinstance(s, types.Number):
        return None
    return FLOATS(types.float32), lambda e, s: splatted(e, s)


def _zeros(_):
    return FLOATS(), lambda e: ir.Constant(vector_of(types.float32), None)


def _fma(_, a, b, c):
    def emit(e, a, b, c):  # muladd: fused where that is one instruction, else two
        return e.intrinsic("llvm.fmuladd.v16f32", a.type, a, b, c)

    return (FLOATS(a, b, c), emit) if a == b == c == FLOATS else None


def _larger(e: Emitter, a: Any, b: Any) -> Any:
    """NaN where either is: "unordered or greater", or b itself is NaN."""
    larger = e.builder.select(e.builder.fcmp_unordered(">", a, b), a, b)
    return e.builder.select(e.builder.fcmp_unordered("uno", b, b), b, larger)


def _maximum(_, a, b):
    return (FLOATS(a, b), lambda e, a, b: _larger(e, a, b)) if a == b == FLOATS else None


def _where_less(_, a, b, x, y):
    def emit(e, a, b, x, y):
        return e.builder.select(e.builder.fcmp_ordered("<", a, b), x, y)

    return (FLOATS(a, b, x, y), emit) if a == b == x == y == FLOATS else None


def _by_halves(e: Emitter, v: Any, join: Any) -> Any:
    """One number of all lanes: 8 and 8 joined, 4 and 4, 2 and 2, 1 and 1."""
    width = N
    while width > 1:
        width //= 2
        v = join(*(_picked(e, v, range(s, s + width)) for s in (0, width)))
    return e.builder.extract_element(v, ir.IntType(32)(0))


def _total(_, v):
    def emit(e, v):
        return _by_halves(e, v, e.builder.fadd if v_type == FLOATS else e.builder.add)

    v_type = v
    return (v.dtype(v), emit) if isinstance(v, Lanes) else None


def _largest(_, v):
    def emit(e, v):
        return _by_halves(e, v, lambda a, b: _larger(e, a, b))

    return (types.float32(v), emit) if v == FLOATS else None


def _picked(e: Emitter, v: Any, order: Any, other: Any = None) -> Any:
    """Lanes of v (and, numbered after its own, of `other`) in this order."""
    order = list(order)
    kind = ir.VectorType(ir.IntType(32), len(order))
    return e.builder.shuffle_vector(v, v if other is None else other, ir.Constant(kind, order))


def _transpose(_, x, i, row, y, j, step):
    def emit(e, x, i, row, y, j, step):
        index, kind = e.index, vector_of(x_type.dtype)
        at, row = index(1, i), index(2, row)
        rows = []
        for _ in range(N):
            rows.append(e.builder.load(e.element(0, x, at, kind), align=4))
            at = e.builder.add(at, row)
        at, step = index(4, j), index(5, step)
        for v in _turned(e, rows):
            e.builder.store(v, e.element(3, y, at, kind), align=4)
            at = e.builder.add(at, step)

    x_type = x
    ours = _numbers(x) and _numbers(y) and x.dtype == y.dtype and integers(i, row, j, step)
    return (types.void(x, i, row, y, j, step), emit) if ours else None


def _turned(e: Emitter, rows: list[Any]) -> list[Any]:
    """A 16 × 16 square turned over: four rounds swap blocks of 1, 2, 4 and 8 squared."""
    s = 1
    while s < N:
        new = list(rows)
        for r in range(N):
            if not r & s:
                a, b = rows[r], rows[r + s]
                low = [c if not c & s else N + c - s for c in range(N)]
                high = [c + s if not c & s else N + c for c in range(N)]
                new[r], new[r + s] = _picked(e, a, low, b), _picked(e, a, high, b)
        rows, s = new, 2 * s
    return rows
